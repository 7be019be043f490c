package apptest

import (
	"maps"
	"slices"

	"cosmossdk.io/log/v2"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/app"
)

// Fork is a second chain that goes on from an export of this one, and the export. It has run no block yet: Imported is its
// state.
func (h *Harness) Fork() (fork *Harness, exported []byte) {
	h.t.Helper()
	exported, height, err := h.App.Export()
	if err != nil {
		h.t.Fatal(err)
	}
	params, err := h.App.ConsensusParams()
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := app.New(app.Options{
		Logger: log.NewNopLogger(), DB: dbm.NewMemDB(), ChainID: ChainID, BaseApp: app.Briefly(), Upgrades: []app.Upgrade{{Name: Upgrade}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = a.InitChain(&abci.RequestInitChain{
		ChainId: ChainID, Time: h.now, InitialHeight: height + 1, AppStateBytes: exported, ConsensusParams: &params,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	fork = &Harness{App: a, t: h.t, votes: slices.Clone(h.votes), now: h.now, broken: h.broken, sequences: maps.Clone(h.sequences), first: height + 1}
	return fork, exported
}

// Imported is the state of a chain that has run no block yet, as a genesis state.
func (h *Harness) Imported() []byte {
	h.t.Helper()
	state, err := h.App.ExportFrom(h.imported())
	if err != nil {
		h.t.Fatal(err)
	}
	return state
}

// ImportedStore is a module's store of a chain that has run no block yet.
func (h *Harness) ImportedStore(module string) storetypes.KVStore {
	h.t.Helper()
	return h.storeOf(h.imported(), module)
}

func (h *Harness) imported() sdk.Context {
	return h.App.NewContextLegacy(false, cmtproto.Header{ChainID: ChainID, Height: h.first, Time: h.now})
}

// BlockOf lets seconds pass and runs a block of signed transactions.
func (h *Harness) BlockOf(seconds int64, txs ...[]byte) *abci.ResponseFinalizeBlock {
	h.t.Helper()
	return h.block(seconds, txs...)
}
