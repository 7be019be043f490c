package app_test

import (
	"fmt"
	"sort"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
)

// coinFee of a transaction with a gas limit at a price of one HIP a credit, in uhip.
func coinFee(t *testing.T, tx []byte, gas uint64) uint64 {
	t.Helper()
	fee, err := creditstypes.DefaultParams().Fees().Of(gas, uint64(len(tx)))
	if err != nil {
		t.Fatal(err)
	}
	return fee
}

func send(from, to apptest.Account, amount uint64) *banktypes.MsgSend {
	return &banktypes.MsgSend{FromAddress: from.Address, ToAddress: to.Address, Amount: sdk.NewCoins(uhip(int64(amount)))}
}

// An account whose first message moves away what the others of its transactions are paid with pays for the room that all take.
func TestBlockIsNotFilledForOneFee(t *testing.T) {
	const purse = 100 * credit
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a0", Uhip: purse}, {Name: "rich", Ucredit: 10}}})
	for round := range 3 {
		a, next := apptest.Named(fmt.Sprintf("a%d", round)), apptest.Named(fmt.Sprintf("a%d", round+1))
		have := uhipOf(h, a.Address)
		fees := uint64(0)
		add := func(txs [][]byte, gas uint64, msg sdk.Msg) [][]byte {
			tx := h.SignWith(a, func(b txBuilder) { b.SetGasLimit(gas) }, msg)
			fees += coinFee(t, tx, gas)
			return append(txs, tx)
		}
		txs := add(nil, 200_000, send(a, next, have-20_000))
		for range 7 {
			txs = add(txs, app.MaxTxGas, &rankingtypes.MsgClaimEarnings{Operator: a.Address})
		}
		if !h.Accepts(txs...) {
			t.Fatalf("round %d: what the account can pay for is refused", round)
		}
		before := totals(t, h).FeesUhip
		if _, err := h.DeliverAll(txs...); err != nil {
			t.Fatal(err)
		}
		if got := totals(t, h).FeesUhip - before; got != fees {
			t.Errorf("round %d: %d transactions took 350 million gas of a block for %d uhip, want %d", round, len(txs), got, fees)
		}
		if left := uhipOf(h, a.Address) + uhipOf(h, next.Address); left != have-fees {
			t.Errorf("round %d: %d of %d uhip are left, want %d", round, left, have, have-fees)
		}
		if uhipOf(h, next.Address) == 0 { // the block took what was to move
			h.MustDeliver(a, send(a, next, uhipOf(h, a.Address)-credit))
		}
	}
}

// A purchase that another of its block makes impossible has paid.
func TestPurchasesOfOneReferencePay(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Uhip: 1000 * credit}}})
	a := apptest.Named("a")
	var txs [][]byte
	for range 6 {
		txs = append(txs, h.SignWith(a, func(b txBuilder) { b.SetGasLimit(app.MaxTxGas) }, buy(a, a, 5*credit, "once")))
	}
	if !h.Accepts(txs...) {
		t.Fatal("refused")
	}
	before := totals(t, h)
	if _, err := h.DeliverAll(txs...); err != nil {
		t.Fatal(err)
	}
	after := totals(t, h)
	if got, want := after.ConsumedUcredit-before.ConsumedUcredit, 6*coinFee(t, txs[0], app.MaxTxGas); got < want-60 || got > want+60 {
		t.Errorf("300 million gas of a block cost %d ucredit, want %d", got, want)
	}
	if got := balance(t, h, a).Ucredit; got >= 5*credit {
		t.Errorf("%d ucredit were bought with one reference", got)
	}
}

// All fees of a block are taken before its purchases are made. A purchase begins the count of fees anew, but keeps those of the transactions
// that come after it.
func TestPurchaseKeepsTheFeesThatComeAfterIt(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Uhip: 100 * credit, Ucredit: 10 * credit}, {Name: "b", Uhip: 100 * credit, Ucredit: 10 * credit}}})
	a, b := apptest.Named("a"), apptest.Named("b")
	claim := func(by apptest.Account) []byte {
		return h.Sign(by, &rankingtypes.MsgClaimEarnings{Operator: by.Address})
	}
	txs := [][]byte{
		claim(a),
		h.Sign(b, buy(b, a, 5*credit, "once")), // of another, that pays for itself
		claim(a), claim(b), claim(a),
		h.Sign(a, buy(a, a, 5*credit, ""), buy(a, a, 5*credit, "")), // pays from credits that were there before
		claim(a),
		h.Sign(b, buy(b, a, 5*credit, "once")), // fails after its checks: it is no purchase
		claim(a), claim(b),
	}
	fee := func(of ...int) (sum uint64) {
		for _, i := range of {
			sum += coinFee(t, txs[i], apptest.Gas)
		}
		return sum
	}
	before, second := balance(t, h, a), fee(1)
	results, err := h.DeliverAll(txs...)
	if err != nil {
		t.Fatal(err)
	}
	for i, bought := range map[int]bool{1: true, 5: true, 7: false} {
		if err := apptest.Outcome(results[i]); (err == nil) != bought {
			t.Errorf("purchase of transaction %d: %v", i, err)
		}
	}
	got := balance(t, h, a)
	if want := fee(6, 8); got.FeesSincePurchase != want {
		t.Errorf("fees of %d are counted since the last purchase, want %d", got.FeesSincePurchase, want)
	}
	if want := before.Ucredit + 15*credit - second - fee(0, 2, 4, 5, 6, 8); got.Ucredit != want {
		t.Errorf("the account has %d ucredit, want %d", got.Ucredit, want)
	}
	if got := balance(t, h, b).FeesSincePurchase; got != fee(3, 9) {
		t.Errorf("fees of %d are counted of who bought nothing for itself, want %d", got, fee(3, 9))
	}
	// What was counted in one block is not counted again in the next.
	h.NextBlock(1)
	txs = [][]byte{h.Sign(b, buy(b, a, 5*credit, "")), claim(a)}
	if _, err := h.DeliverAll(txs...); err != nil {
		t.Fatal(err)
	}
	if got, want := balance(t, h, a).FeesSincePurchase, fee(0, 1); got != want {
		t.Errorf("fees of %d are counted in the next block, want %d", got, want)
	}
}

// A gas limit that is just enough before the block does not make a transaction free when another of the block makes its checks dearer.
func TestChecksAreOfTheStateBeforeTheBlock(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Uhip: 9_999_999}, {Name: "rich", Uhip: 1_000_000_000_000}}})
	a, rich := apptest.Named("a"), apptest.Named("rich")
	block := func(gas uint64) [][]byte {
		h.NextBlock(0)
		return [][]byte{
			h.Sign(rich, send(rich, a, 900_000_000_000)), // a longer number to read
			h.SignWith(a, func(b txBuilder) { b.SetGasLimit(gas) }, &rankingtypes.MsgClaimEarnings{Operator: a.Address}),
		}
	}
	least := uint64(sort.Search(300_000, func(gas int) bool { return gas > 0 && h.Accepts(block(uint64(gas))...) }))
	if least < 10_000 || least >= 300_000 {
		t.Fatalf("checks take %d gas", least)
	}
	txs := block(least)
	if !h.Accepts(txs...) {
		t.Fatal("refused")
	}
	if _, err := h.DeliverAll(txs...); err != nil {
		t.Fatal(err)
	}
	if got, want := uhipOf(h, a.Address), 900_009_999_999-coinFee(t, txs[1], least); got != want {
		t.Errorf("the account has %d uhip, want %d", got, want)
	}
}

// What is not paid for from what there is before the block is no proposal, and costs nobody anything.
func TestProposerIncludesOnlyWhatIsPaid(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Uhip: 3_000_000}, {Name: "rich", Uhip: 100 * credit}}})
	a, rich := apptest.Named("a"), apptest.Named("rich")
	txs := [][]byte{h.Sign(rich, send(rich, a, 50*credit))} // too late to pay with
	for range 3 {
		txs = append(txs, h.SignWith(a, func(b txBuilder) { b.SetGasLimit(app.MaxTxGas) }, &rankingtypes.MsgClaimEarnings{Operator: a.Address}))
	}
	if h.Accepts(txs...) {
		t.Error("a block with what its payer cannot pay before it is accepted")
	}
	if !h.Accepts(txs[:3]...) {
		t.Error("a block with what its payers can pay is refused")
	}
	results, err := h.DeliverAll(txs...)
	if err != nil {
		t.Fatal(err)
	}
	fees := coinFee(t, txs[1], app.MaxTxGas) + coinFee(t, txs[2], app.MaxTxGas)
	if got := uhipOf(h, a.Address); got != 53_000_000-fees {
		t.Errorf("the account has %d uhip, want %d", got, 53_000_000-fees)
	}
	wantErr(t, apptest.Outcome(results[3]), creditstypes.ErrInsufficient)
}
