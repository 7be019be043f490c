package app_test

import (
	"testing"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	creditskeeper "github.com/hippius/compute/chain/x/credits/keeper"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
)

const daySeconds = 86_400

// priced is a genesis with a price of a credit.
func priced(uhip string) func(*app.Genesis) {
	return overridden("credits", `{"params":{"uhip_per_credit":"`+uhip+`"}}`)
}

// setPrice is governance's change of the price of a credit.
func setPrice(h *apptest.Harness, uhip uint64) error {
	p, err := h.App.Keepers.Credits.Params(h.Ctx())
	if err != nil {
		return err
	}
	p.UhipPerCredit = uhip
	_, err = creditskeeper.NewMsgServer(h.App.Keepers.Credits).UpdateParams(h.Ctx(), &creditstypes.MsgUpdateParams{
		Authority: authtypes.NewModuleAddress("gov").String(), Params: p,
	})
	return err
}

// movePrice brings the price to uhip by the largest change of each day, a fifth.
func movePrice(t *testing.T, h *apptest.Harness, uhip uint64) {
	t.Helper()
	for {
		p, err := h.App.Keepers.Credits.Params(h.Ctx())
		if err != nil {
			t.Fatal(err)
		}
		now := p.UhipPerCredit
		if now == uhip {
			return
		}
		h.NextBlock(daySeconds)
		if err := setPrice(h, max(min(uhip, now+now/5), now-now/5)); err != nil {
			t.Fatal(err)
		}
	}
}

// A price that lags lets someone buy cheaply what others paid more for, and serve itself once the price has caught up.
// Out of a reserve that all share it took 55 909 HIP for 25 000.
func TestLaggingPriceDrainsNothing(t *testing.T) {
	h := apptest.New(t, apptest.Options{
		Accounts: []apptest.Funds{{Name: "others", Uhip: 600_000 * credit}, {Name: "trader", Uhip: 25_000 * credit}},
		Genesis:  priced("2360000"),
	})
	others, trader := apptest.Named("others"), apptest.Named("trader")
	h.MustDeliver(others, buy(others, others, 590_000*credit, ""))
	movePrice(t, h, credit)
	h.Run(8*daySeconds, daySeconds)
	h.MustDeliver(trader, buy(trader, trader, 25_000*credit, ""))
	movePrice(t, h, 2_360_000)
	h.Run(8*daySeconds, daySeconds)
	before := totals(t, h).ReleasedUhip
	if err := h.App.Keepers.Credits.Consume(h.Ctx(), trader.Address, balance(t, h, trader).Ucredit, trader.Address); err != nil {
		t.Fatal(err)
	}
	h.NextBlock(1)
	if out := totals(t, h).ReleasedUhip - before; out > 25_000*credit {
		t.Errorf("25 000 HIP in, %d out", out/credit)
	}
}

// A change of the price is at most a fifth and at most one a day, and only of the price: other parameters go on.
func TestPriceRule(t *testing.T) {
	h := apptest.New(t, apptest.Options{})
	wantErr(t, setPrice(h, 1_200_001), creditstypes.ErrPriceChange, "accepted are 800000 to 1200000")
	if err := setPrice(h, 1_200_000); err != nil {
		t.Fatal(err)
	}
	h.NextBlock(daySeconds - 1)
	wantErr(t, setPrice(h, 1_200_001), creditstypes.ErrPriceChange, "after 1 s")
	if err := setPrice(h, 1_200_000); err != nil { // no change
		t.Fatal(err)
	}
	h.NextBlock(1)
	if err := setPrice(h, 960_000); err != nil {
		t.Fatal(err)
	}
	lowest, highest, err := h.App.Keepers.Credits.Range(h.Ctx())
	if err != nil || lowest != 960_000 || highest != 1_200_000 {
		t.Errorf("%d to %d, %v", lowest, highest, err)
	}
	h.NextBlock(7 * daySeconds)
	if lowest, highest, err = h.App.Keepers.Credits.Range(h.Ctx()); err != nil || lowest != 960_000 || highest != 960_000 {
		t.Errorf("seven days later %d to %d, %v", lowest, highest, err)
	}
}

// Credits are sold at the highest price of 7 days and release at most the lowest; the difference is the buffer's, which
// governance spends.
func TestBuffer(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "rich", Uhip: 100 * credit}, {Name: "poor"}}})
	rich, poor := apptest.Named("rich"), apptest.Named("poor")
	if err := setPrice(h, 800_000); err != nil {
		t.Fatal(err)
	}
	mustPay(t, h, rich, buy(rich, poor, 10*credit, ""))
	b := balance(t, h, poor) // a gift brings its backing
	if b.Ucredit+b.FeesSincePurchase != 10*credit || b.BackingUhip != b.Ucredit {
		t.Fatalf("%+v", b)
	}
	before := totals(t, h)
	if err := h.App.Keepers.Credits.Consume(h.Ctx(), poor.Address, credit, rich.Address); err != nil {
		t.Fatal(err)
	}
	h.NextBlock(1)
	after := totals(t, h)
	if after.ReleasedUhip-before.ReleasedUhip != 800_000 || after.BufferUhip-before.BufferUhip != 200_000 {
		t.Fatalf("before %+v after %+v", before, after)
	}
	spend := func(by, to string, uhip uint64) error {
		return h.App.Keepers.Credits.SpendBuffer(h.Ctx(), &creditstypes.MsgSpendBuffer{Authority: by, Recipient: to, Uhip: uhip})
	}
	gov, treasury := authtypes.NewModuleAddress("gov").String(), moduleUhip(h, "treasury")
	wantErr(t, spend(rich.Address, rich.Address, 1), creditstypes.ErrUnauthorized, gov)
	wantErr(t, spend(gov, rich.Address, after.BufferUhip+1), creditstypes.ErrBuffer, "more than the buffer has")
	wantErr(t, spend(gov, authtypes.NewModuleAddress("distribution").String(), 1), creditstypes.ErrRecipient, `"stakers"`)
	wantErr(t, spend(gov, "nobody", 1), creditstypes.ErrInvalid, `"treasury"`)
	for _, to := range []string{"treasury", "stakers", poor.Address} {
		if err := spend(gov, to, 50_000); err != nil {
			t.Fatal(err)
		}
	}
	h.NextBlock(1)
	if got := moduleUhip(h, "treasury") - treasury; got != 50_000 || uhipOf(h, poor.Address) != 50_000 {
		t.Errorf("the treasury got %d, the account %d", got, uhipOf(h, poor.Address))
	}
	if v := totals(t, h); v.BufferUhip != after.BufferUhip-150_000 || v.SpentUhip != 150_000 {
		t.Errorf("%+v", v)
	}
}
