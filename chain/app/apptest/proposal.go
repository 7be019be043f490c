package apptest

import (
	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/hippius/compute/chain/app"
)

// Propose is the block that this node proposes of what it checked before, none of which is executed. What it is given is
// what consensus offers it, by arrival.
func (h *Harness) Propose(offered ...[]byte) [][]byte {
	h.t.Helper()
	res, err := h.App.PrepareProposal(&abci.RequestPrepareProposal{
		MaxTxBytes: app.MaxBlockBytes, Txs: offered, Height: h.Height() + 1, Time: h.now, ProposerAddress: h.votes[0].Validator.Address,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return res.Txs
}

// Accepts tells whether this node votes for a block of transactions that another proposes.
func (h *Harness) Accepts(txs ...[]byte) bool {
	h.t.Helper()
	height := h.Height() + 1
	res, err := h.App.ProcessProposal(&abci.RequestProcessProposal{
		Txs: txs, Height: height, Time: h.now, Hash: BlockHash(height), ProposerAddress: h.votes[0].Validator.Address,
		ProposedLastCommit: abci.CommitInfo{Votes: h.votes},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return res.IsAccepted()
}
