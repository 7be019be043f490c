package app_test

import (
	"bytes"
	"slices"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
)

// A flood of other transactions that came first does not keep a report out of the next block.
func TestFloodDoesNotDelayReports(t *testing.T) {
	h, miner := withMiner(t)
	var waiting [][]byte
	a := apptest.Named("a")
	for range 20 { // twice a block's gas
		tx := h.SignWith(a, func(b txBuilder) { b.SetGasLimit(app.MaxTxGas) }, &rankingtypes.MsgClaimEarnings{Operator: a.Address})
		if err := h.Check(tx); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, tx)
	}
	report := h.Sign(miner, &computetypes.MsgReportVM{Miner: miner.Address})
	if err := h.Check(report); err != nil {
		t.Fatal(err)
	}
	block := h.Propose(append(waiting, report)...)
	if !contains(block, report) {
		t.Fatalf("the report is not among the %d transactions of the block", len(block))
	}
	if !h.Accepts(block...) {
		t.Fatal("the proposal is refused")
	}
}

// A proposal in which one lane has more than it may is refused.
func TestOverfullLaneIsRefused(t *testing.T) {
	h, miner := withMiner(t)
	a := apptest.Named("a")
	fill := func(from apptest.Account, n int, msg sdk.Msg) (txs [][]byte) {
		for range n {
			txs = append(txs, h.SignWith(from, func(b txBuilder) { b.SetGasLimit(app.MaxTxGas) }, msg))
		}
		return txs
	}
	claim, report := &rankingtypes.MsgClaimEarnings{Operator: a.Address}, &computetypes.MsgReportVM{Miner: miner.Address}
	if txs := fill(a, 8, claim); h.Accepts(txs...) {
		t.Error("80 % of a block for what is no report")
	}
	h.NextBlock(0)
	if txs := fill(miner, 8, report); h.Accepts(txs...) {
		t.Error("80 % of a block for reports")
	}
	h.NextBlock(0)
	if txs := append(fill(a, 5, claim), fill(miner, 5, report)...); !h.Accepts(txs...) {
		t.Error("half a block for each is refused")
	}
	h.NextBlock(0)
	if txs := fill(a, 7, claim); !h.Accepts(txs...) {
		t.Error("70 % of a block for one lane, when the other is empty, is refused")
	}
}

// Within a lane those come first that pay more for their gas, free reports before all; an account's come in their order.
func TestOrderInABlock(t *testing.T) {
	h, miner := withMiner(t)
	a, b := apptest.Named("a"), apptest.Named("b")
	claim := func(from apptest.Account, gas uint64) []byte {
		return h.SignWith(from, func(x txBuilder) { x.SetGasLimit(gas) }, &rankingtypes.MsgClaimEarnings{Operator: from.Address})
	}
	dear, cheap := claim(b, 100_000), claim(a, 40_000_000)
	after := claim(a, 100_000) // as dear, but not before the one that it follows
	paid := h.SignWith(miner, func(x txBuilder) { x.SetGasLimit(5_000_000) }, &computetypes.MsgReportVM{Miner: miner.Address})
	free := h.Sign(miner, &computetypes.MsgReportVM{Miner: miner.Address})
	for _, tx := range [][]byte{cheap, after, dear, paid, free} {
		if err := h.Check(tx); err != nil {
			t.Fatal(err)
		}
	}
	block := h.Propose()
	at := func(tx []byte) int {
		return slices.IndexFunc(block, func(b []byte) bool { return string(b) == string(tx) })
	}
	if len(block) != 5 || at(dear) > at(cheap) || at(cheap) > at(after) || at(paid) > at(free) || at(free) > at(dear) {
		t.Errorf("order %d %d %d %d %d of %d", at(paid), at(free), at(dear), at(cheap), at(after), len(block))
	}
	if !h.Accepts(block...) {
		t.Error("the proposal is refused")
	}
}

// What a lane leaves unused the other takes, if nobody waits for it.
func TestUnusedRoomIsLent(t *testing.T) {
	h, miner := withMiner(t)
	a := apptest.Named("a")
	check := func(n int, from apptest.Account, msg sdk.Msg) {
		for range n {
			if err := h.Check(h.SignWith(from, func(b txBuilder) { b.SetGasLimit(app.MaxTxGas) }, msg)); err != nil {
				t.Fatal(err)
			}
		}
	}
	check(12, a, &rankingtypes.MsgClaimEarnings{Operator: a.Address})
	if n := len(h.Propose()); n != 7 {
		t.Errorf("%d transactions of 50 million gas alone, want 7 in three quarters of a block", n)
	}
	check(12, miner, &computetypes.MsgReportVM{Miner: miner.Address})
	block := h.Propose()
	if n := len(block); n != 10 {
		t.Errorf("%d transactions of both lanes, want 5 of each", n)
	}
	if !h.Accepts(block...) {
		t.Error("the proposal is refused")
	}
	// What is in a block waits no more.
	if _, err := h.DeliverAll(block...); err != nil {
		t.Fatal(err)
	}
	if n := len(h.Propose()); n != 10 {
		t.Errorf("then %d", n)
	}
}

// A proposal with a transaction that nobody pays for is refused: a proposer has no free room either.
func TestUnpaidTransactionsAreNoProposal(t *testing.T) {
	h, _ := withMiner(t)
	a := apptest.Named("a")
	good := h.Sign(a, &rankingtypes.MsgClaimEarnings{Operator: a.Address})
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	if h.Accepts(bad) || h.Accepts([]byte("junk")) || h.Accepts(good, good) {
		t.Error("accepted")
	}
	if !h.Accepts(good) {
		t.Error("a good one is refused")
	}
}

// What failed its checks in a block, since one before it is missing there, waits no more.
func TestFailedTransactionsWaitNoMore(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Uhip: 1_000_000}}})
	a := apptest.Named("a")
	var txs [][]byte
	for range 4 {
		txs = append(txs, h.Sign(a, send(a, a, 1)))
		if err := h.Check(txs[len(txs)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.App.Mempool().CountTx(); n != len(txs) {
		t.Fatalf("%d wait", n)
	}
	included := [][]byte{txs[0], txs[2], txs[3]}
	results, err := h.DeliverAll(included...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if failed := apptest.Outcome(r) != nil; failed != (i > 0) {
			t.Errorf("transaction %d: %v", i, apptest.Outcome(r))
		}
	}
	if n := h.App.Mempool().CountTx(); n != 1 {
		t.Errorf("%d still wait, want the one that was in no block", n)
	}
}

// What made room for another is forgotten by consensus too.
func TestDroppedTransactionIsForgotten(t *testing.T) {
	h, _ := withMiner(t)
	a := apptest.Named("a")
	tx := h.Sign(a, &rankingtypes.MsgClaimEarnings{Operator: a.Address})
	if code, _, log := h.CheckRaw(tx, true); code == 0 {
		t.Errorf("one that this node never had waits: %s", log)
	}
	if code, _, log := h.CheckRaw(tx, false); code != 0 {
		t.Fatal(log)
	}
	h.NextBlock(0) // consensus checks again after each block
	if code, _, log := h.CheckRaw(tx, true); code != 0 {
		t.Errorf("one that waits: %s", log)
	}
}

func contains(block [][]byte, tx []byte) bool {
	for _, b := range block {
		if string(b) == string(tx) {
			return true
		}
	}
	return false
}
