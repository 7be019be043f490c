package app_test

import (
	"errors"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/hippius/compute/chain/app/apptest"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
)

const credit = 1_000_000

// paid delivers a transaction and gives its fee, in ucredit.
func paid(t *testing.T, h *apptest.Harness, by apptest.Account, msgs ...sdk.Msg) (fee uint64, err error) {
	t.Helper()
	tx := h.Sign(by, msgs...)
	res, err := h.DeliverAll(tx)
	if err != nil {
		t.Fatal(err)
	}
	return apptest.Fee(tx), apptest.Outcome(res[0])
}

func mustPay(t *testing.T, h *apptest.Harness, by apptest.Account, msgs ...sdk.Msg) (fee uint64) {
	t.Helper()
	fee, err := paid(t, h, by, msgs...)
	if err != nil {
		t.Fatal(err)
	}
	return fee
}

func uhipOf(h *apptest.Harness, address string) uint64 {
	acc := sdk.MustAccAddressFromBech32(address)
	return h.App.Keepers.Bank.GetBalance(h.Ctx(), acc, "uhip").Amount.Uint64()
}

func moduleUhip(h *apptest.Harness, name string) uint64 {
	return uhipOf(h, authtypes.NewModuleAddress(name).String())
}

func balance(t *testing.T, h *apptest.Harness, a apptest.Account) creditstypes.Balance {
	t.Helper()
	b, err := h.App.Keepers.Credits.Balance(h.Ctx(), a.Address)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func totals(t testing.TB, h *apptest.Harness) creditstypes.Totals {
	t.Helper()
	v, err := h.App.Keepers.Credits.Totals(h.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func buy(buyer, recipient apptest.Account, uhip uint64, reference string) *creditstypes.MsgBuy {
	return &creditstypes.MsgBuy{Buyer: buyer.Address, Recipient: recipient.Address, Uhip: uhip, Reference: reference}
}

// wantErr checks that an error is the registered one and that its sentence says what it must.
func wantErr(t *testing.T, err, want error, says ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

func TestBuyForAnother(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "rich", Uhip: 100 * credit}}})
	rich, tenant := apptest.Named("rich"), apptest.Named("tenant")
	tx := h.Sign(rich, buy(rich, tenant, 10*credit, "card 1"))
	fee := apptest.Fee(tx)
	r, err := h.DeliverAll(tx)
	if err != nil {
		t.Fatal(err)
	}
	var got creditstypes.MsgBuyResponse
	if err := r[0].Response(0, &got); err != nil || got.Ucredit != 10*credit-fee {
		t.Fatalf("bought %d, %v", got.Ucredit, err)
	}
	// The fee came out of what was bought, so 10 credits bought are 10 counted.
	if b := balance(t, h, tenant); b.Ucredit != 10*credit-fee || b.FeesSincePurchase != fee {
		t.Fatalf("%+v", b)
	}
	if err := h.App.Keepers.Marketplace.RequireCreate(h.Ctx(), tenant.Address); err != nil {
		t.Fatal(err)
	}
	if !h.App.Keepers.Auth.HasAccount(h.Ctx(), tenant.Acc()) {
		t.Fatal("the first credits made no account")
	}
	if got := uhipOf(h, rich.Address); got != 90*credit {
		t.Fatalf("the buyer has %d uhip", got)
	}
	// Nobody served the fee: 90 % of it to stakers, 10 % to the treasury.
	treasury := fee - fee*60/100 - fee*30/100
	if v := totals(t, h); v.ReleasedUhip != fee || v.ReleasedStakersUhip != fee-treasury || v.ReleasedTreasuryUhip != treasury || v.ReserveUhip != 10*credit-fee {
		t.Fatalf("%+v", v)
	}
	if got := moduleUhip(h, creditstypes.TreasuryName); got != treasury {
		t.Fatalf("treasury has %d", got)
	}
	// With credits the tenant pays for its own transactions, and needs no coin.
	next, err := paid(t, h, tenant, &rankingtypes.MsgClaimEarnings{Operator: tenant.Address})
	wantErr(t, err, rankingtypes.ErrNothingToClaim, "earned nothing")
	if b := balance(t, h, tenant); b.Ucredit != 10*credit-fee-next || b.FeesSincePurchase != fee+next || b.BackingUhip != b.Ucredit {
		t.Fatalf("a failed transaction must pay: %+v", b)
	}
	// Distribution gets the stakers' part in the next block.
	before := moduleUhip(h, "distribution")
	h.NextBlock(1)
	if got := moduleUhip(h, "distribution") - before; got != next-(next-next*60/100-next*30/100) {
		t.Errorf("distribution received %d of a fee of %d", got, next)
	}
}

func TestBuyRefusals(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "rich", Uhip: 100 * credit}, {Name: "poor", Uhip: 5}}})
	rich, poor, tenant, stranger := apptest.Named("rich"), apptest.Named("poor"), apptest.Named("tenant"), apptest.Named("stranger")
	h.MustDeliver(rich, buy(rich, tenant, 10*credit, "card-1"))
	spent := func() uint64 { return 90*credit - uhipOf(h, rich.Address) }
	refuse := func(from apptest.Account, m *creditstypes.MsgBuy, want error, says ...string) {
		t.Helper()
		before := spent()
		_, err := h.Deliver(from, m)
		wantErr(t, err, want, says...)
		if spent() != before {
			t.Errorf("refused before anything happened, but it cost %d", spent()-before)
		}
	}
	refuse(rich, buy(rich, tenant, 10*credit, "card-1"), creditstypes.ErrReferenceUsed, "card-1", "only once")
	refuse(rich, buy(rich, tenant, 999_999, ""), creditstypes.ErrTooLittle, "0.999999", "1000000 uhip")
	refuse(rich, buy(rich, tenant, 0, ""), creditstypes.ErrInvalid, "0 uhip")
	refuse(rich, buy(rich, tenant, credit, strings.Repeat("x", 129)), creditstypes.ErrInvalid, "129 bytes", "at most 128")
	refuse(rich, buy(rich, tenant, credit, "a\nb"), creditstypes.ErrInvalid, "0x0a", "printable")
	refuse(rich, buy(rich, tenant, 91*credit, ""), creditstypes.ErrDeposit, "91000000", "90000000", "1000000 are missing")
	refuse(poor, buy(poor, poor, credit, ""), creditstypes.ErrDeposit, "999995 are missing")
	refuse(rich, &creditstypes.MsgBuy{Buyer: rich.Address, Recipient: "", Uhip: credit}, creditstypes.ErrInvalid, "recipient", "missing")
	refuse(rich, &creditstypes.MsgBuy{Buyer: rich.Address, Recipient: strings.ToUpper(tenant.Address), Uhip: credit}, creditstypes.ErrInvalid, "must be written")
	refuse(rich, &creditstypes.MsgBuy{Buyer: rich.Address, Recipient: authtypes.NewModuleAddress("gov").String(), Uhip: 91 * credit}, creditstypes.ErrDeposit)
	refuse(rich, &creditstypes.MsgBuy{Buyer: rich.Address, Recipient: authtypes.NewModuleAddress("credits").String(), Uhip: credit}, creditstypes.ErrRecipient, "module")
	refuse(stranger, buy(stranger, stranger, credit, ""), creditstypes.ErrNoAccount, stranger.Address, "first credits")
}

// A purchase that fails after its fee was taken has paid the fee, and nothing else.
func TestFailedBuyPays(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "rich", Uhip: 100 * credit}}})
	rich, tenant := apptest.Named("rich"), apptest.Named("tenant")
	first := mustPay(t, h, rich, buy(rich, tenant, 2*credit, "other"))
	// Out of gas in the message: the ante handler went through.
	const gas = 100_000
	low := h.SignWith(rich, func(b txBuilder) { b.SetGasLimit(gas) }, buy(rich, tenant, 10*credit, "same"))
	fee, err := creditstypes.DefaultParams().Fees().Of(gas, uint64(len(low)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.DeliverAll(low)
	if err != nil || r[0].Code == 0 {
		t.Fatalf("%v %+v", err, r)
	}
	if got := uhipOf(h, rich.Address); got != 98*credit-fee {
		t.Errorf("the buyer has %d uhip", got)
	}
	if v := totals(t, h); v.BoughtUcredit != 2*credit+fee || v.ConsumedUcredit != first+fee {
		t.Errorf("%+v", v)
	}
	// The reference is still free.
	h.MustDeliver(rich, buy(rich, tenant, 10*credit, "same"))
}

// Two purchases in one transaction are an ordinary transaction, paid in coins or from credits.
func TestTwoBuysPayTheirFee(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "rich", Uhip: 100 * credit}}})
	rich := apptest.Named("rich")
	coins := mustPay(t, h, rich, buy(rich, rich, credit, ""), buy(rich, rich, credit, ""))
	if b, left := balance(t, h, rich), uhipOf(h, rich.Address); b.Ucredit != 2*credit || b.FeesSincePurchase != 0 || left != 98*credit-coins {
		t.Errorf("%+v, %d uhip", b, left)
	}
	fee := mustPay(t, h, rich, buy(rich, rich, credit, ""), buy(rich, rich, credit, ""))
	if b := balance(t, h, rich); b.Ucredit != 4*credit-fee || b.FeesSincePurchase != 0 {
		t.Errorf("%+v", b)
	}
}

// Both transactions of one block name the same reference: one buys.
func TestReferenceOnceInOneBlock(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Uhip: 100 * credit}, {Name: "b", Uhip: 100 * credit}}})
	a, b := apptest.Named("a"), apptest.Named("b")
	res, err := h.DeliverAll(h.Sign(a, buy(a, a, credit, "r")), h.Sign(b, buy(b, b, credit, "r")))
	if err != nil || res[0].Code != 0 || res[1].Code != creditstypes.ErrReferenceUsed.ABCICode() {
		t.Fatalf("%v %v %v", err, res[0].Log, res[1].Log)
	}
}

func TestSalePausesBelowCoverage(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "rich", Uhip: 100 * credit}}})
	rich := apptest.Named("rich")
	h.MustDeliver(rich, buy(rich, rich, 10*credit, ""))
	movePrice(t, h, 3*credit)
	_, err := h.Deliver(rich, buy(rich, rich, 30*credit, ""))
	wantErr(t, err, creditstypes.ErrSalePaused, "3333", "5000")
	// Anyone may add to the reserve, and so end the pause.
	h.MustDeliver(rich, &creditstypes.MsgAddToReserve{Sender: rich.Address, Uhip: 5 * credit})
	h.MustDeliver(rich, buy(rich, rich, 30*credit, ""))
	// What was bought releases its backing and no more.
	before := totals(t, h)
	if err := h.App.Keepers.Credits.Consume(h.Ctx(), rich.Address, balance(t, h, rich).Ucredit, rich.Address); err != nil {
		t.Fatal(err)
	}
	h.NextBlock(1)
	after := totals(t, h)
	if after.ReserveUhip != after.BufferUhip || after.ReleasedUhip > before.ReserveUhip-5*credit {
		t.Errorf("before %+v after %+v", before, after)
	}
}

func TestConsumeSplitAndClaim(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{
		{Name: "tenant", Ucredit: 100 * credit}, {Name: "m1", Ucredit: credit}, {Name: "m2"},
	}})
	tenant, m1, m2 := apptest.Named("tenant"), apptest.Named("m1"), apptest.Named("m2")
	k, ctx := h.App.Keepers.Credits, h.Ctx()
	for _, c := range []struct {
		miner string
		v     uint64
	}{{m1.Address, 1001}, {m2.Address, 7}, {m1.Address, 3}, {"", 10}} {
		if err := k.Consume(ctx, tenant.Address, c.v, c.miner); err != nil {
			t.Fatal(err)
		}
	}
	err := k.Consume(ctx, tenant.Address, 100*credit, m1.Address)
	wantErr(t, err, creditstypes.ErrInsufficient)
	h.NextBlock(1)
	if got := h.Events("coin_received"); len(h.Events("hippius.credits.released")) != 1 || len(got) < 3 {
		t.Errorf("transfers %v", got)
	}
	transfers := 0
	for _, e := range h.Events("transfer") {
		if e["sender"] == authtypes.NewModuleAddress(creditstypes.ModuleName).String() {
			transfers++
		}
	}
	if transfers != 3 {
		t.Errorf("%d transfers from the reserve in one block, want 3", transfers)
	}
	e1, err1 := h.App.Keepers.Ranking.Earnings(h.Ctx(), m1.Address)
	e2, err2 := h.App.Keepers.Ranking.Earnings(h.Ctx(), m2.Address)
	if err1 != nil || err2 != nil || e1.AccruedUhip != 600+1 || e1.ServedUcredit != 1004 || e2.AccruedUhip != 4 {
		t.Fatalf("%+v %+v", e1, e2)
	}
	// 1001: 600 300 101; 7: 4 2 1; 3: 1 0 2; 10 unserved: 0 9 1.
	if v := totals(t, h); v.ReleasedUhip != 1021 || v.ReleasedMinersUhip != 605 || v.ReleasedStakersUhip != 311 || v.ReleasedTreasuryUhip != 105 {
		t.Fatalf("%+v", v)
	}
	before := uhipOf(h, m1.Address)
	h.MustDeliver(m1, &rankingtypes.MsgClaimEarnings{Operator: m1.Address})
	if got := uhipOf(h, m1.Address) - before; got != 601 {
		t.Errorf("paid %d", got)
	}
	_, err = h.Deliver(m1, &rankingtypes.MsgClaimEarnings{Operator: m1.Address})
	wantErr(t, err, rankingtypes.ErrNothingToClaim)
	// Another's earnings cannot be claimed: the signature must be the operator's.
	if _, err := h.Deliver(m1, &rankingtypes.MsgClaimEarnings{Operator: m2.Address}); err == nil {
		t.Error("m1 claimed for m2")
	}
}
