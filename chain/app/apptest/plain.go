package apptest

import (
	"errors"
	"fmt"
	"slices"

	abci "github.com/cometbft/cometbft/abci/types"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdktx "github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/gogoproto/proto"

	"github.com/hippius/compute/chain/app"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
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
	Events         []Event
	Data           []byte
	// Batch of a miner; nil for any other transaction.
	Batch *Batch
}

// Batch is what a miner reported, and what the chain says of each report if it took the batch.
type Batch struct {
	Reports []vm.Report
	Results []vm.ReportResult
}

// Block lets seconds pass and runs a block of the transactions. It gives what
// became of each, in order, and what the block did by itself at its end.
func (h *Harness) Block(seconds int64, txs ...[]byte) (done []Done, end []Event) {
	h.t.Helper()
	res := h.block(seconds, txs...)
	for i, r := range res.TxResults {
		batch, err := batchOf(txs[i], r)
		if err != nil {
			h.t.Fatalf("%s: %v", h, err)
		}
		done = append(done, Done{
			Raw: txs[i], Code: r.Code, Codespace: r.Codespace, Log: r.Log, Events: plain(r.Events), Data: r.Data, Batch: batch,
		})
	}
	return done, plain(res.Events)
}

// batchOf reads the miner's batch that a transaction carries, if it carries one.
func batchOf(raw []byte, r *abci.ExecTxResult) (*Batch, error) {
	var tx sdktx.TxRaw
	var body sdktx.TxBody
	if err := errors.Join(proto.Unmarshal(raw, &tx), proto.Unmarshal(tx.BodyBytes, &body)); err != nil {
		return nil, nil //nolint:nilerr,nilnil // what is no transaction carries none
	}
	i := slices.IndexFunc(body.Messages, func(m *codectypes.Any) bool { return m.TypeUrl == sdk.MsgTypeURL(&computetypes.MsgReportVM{}) })
	if i < 0 {
		return nil, nil //nolint:nilnil // most carry none
	}
	var m computetypes.MsgReportVM
	if err := proto.Unmarshal(body.Messages[i].Value, &m); err != nil {
		return nil, err
	}
	out := &Batch{}
	for _, report := range m.Reports {
		out.Reports = append(out.Reports, reportOf(report))
	}
	if r.Code != abci.CodeTypeOK {
		return out, nil
	}
	var data sdk.TxMsgData
	var answer computetypes.MsgReportVMResponse
	if err := proto.Unmarshal(r.Data, &data); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(data.MsgResponses[i].Value, &answer); err != nil {
		return nil, err
	}
	for _, a := range answer.Results {
		result := vm.ReportResult{ID: vm.ID(a.VmId), Code: a.Code}
		if a.Code != abci.CodeTypeOK {
			result.Message = fmt.Sprintf("%s error %d", a.Codespace, a.Code)
		}
		out.Results = append(out.Results, result)
	}
	return out, nil
}

func reportOf(r computetypes.VMReport) vm.Report {
	out := vm.Report{
		ID: vm.ID(r.VmId), InstanceSeq: r.InstanceSeq, ObservedGeneration: r.ObservedGeneration, Phase: r.Phase.Core(), Reason: r.Reason,
		Message: r.Message, ObservedRebootSeq: r.ObservedRebootSeq, SizeGeneration: r.SizeGeneration,
	}
	if r.Proof != nil {
		out.Proof = &vm.Proof{Height: r.Proof.Height, Signature: r.Proof.Signature}
	}
	return out
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
