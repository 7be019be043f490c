package apptest

import (
	"fmt"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/hippius/compute/chain/app"
)

// What a node tells those who do not link the chain's framework, without a node.

// Event of a transaction or a block.
type Event struct {
	Kind string
	Attr map[string]string
}

// Done is a transaction that is in a block.
type Done struct {
	Raw            []byte
	Code           uint32
	Codespace, Log string
	Data           []byte
	Events         []Event
}

// Block lets seconds pass and runs a block of the transactions. It gives what
// became of each, in order, and what the block did by itself at its end.
func (h *Harness) Block(seconds int64, txs ...[]byte) (done []Done, end []Event) {
	h.t.Helper()
	res := h.block(seconds, txs...)
	for i, r := range res.TxResults {
		done = append(done, Done{Raw: txs[i], Code: r.Code, Codespace: r.Codespace, Log: r.Log, Data: r.Data, Events: plain(r.Events)})
	}
	return done, plain(res.Events)
}

func plain(list []abci.Event) []Event {
	out := make([]Event, 0, len(list))
	for _, e := range list {
		attr := make(map[string]string, len(e.Attributes))
		for _, a := range e.Attributes {
			attr[a.Key] = a.Value
		}
		out = append(out, Event{Kind: e.Type, Attr: attr})
	}
	return out
}

// CheckRaw is what a node's mempool says of a transaction, again after a block
// that it was not in.
func (h *Harness) CheckRaw(tx []byte, again bool) (code uint32, codespace, log string) {
	kind := abci.CheckTxType_New
	if again {
		kind = abci.CheckTxType_Recheck
	}
	res, err := h.App.CheckTx(&abci.RequestCheckTx{Tx: tx, Type: kind})
	if err != nil {
		return 1, "undefined", err.Error()
	}
	return res.Code, res.Codespace, res.Log
}

// Ask answers a gRPC query, encoded, from the state after the block at a height.
func (h *Harness) Ask(method string, request []byte, height int64) ([]byte, error) {
	route := h.App.GRPCQueryRouter().Route(method)
	if route == nil {
		return nil, fmt.Errorf("nobody answers %s", method)
	}
	ctx, err := h.App.CreateQueryContext(height, false)
	if err != nil {
		return nil, err
	}
	res, err := route(ctx, &abci.RequestQuery{Path: method, Data: request, Height: height})
	if err != nil {
		return nil, err
	}
	return res.Value, nil
}

// Supply of all coins there are.
func (h *Harness) Supply() string {
	return h.App.Keepers.Bank.GetSupply(h.Ctx(), app.Denom).String()
}
