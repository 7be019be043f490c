package app_test

import (
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
	"github.com/hippius/compute/core/plan"
)

// FuzzTransaction throws bytes at the way in: whatever comes, the node answers, and the books are as before.
func FuzzTransaction(f *testing.F) {
	h := apptest.New(f, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Uhip: 100 * credit, Ucredit: 10 * credit}}})
	a := apptest.Named("a")
	for _, m := range []sdk.Msg{
		buy(a, a, credit, "seed"),
		&rankingtypes.MsgClaimEarnings{Operator: a.Address},
		&markettypes.MsgSetPlan{Authority: a.Address, Plan: markettypes.PlanOf(plan.Defaults()[0])},
		&markettypes.MsgUpdateParams{Authority: a.Address, Params: markettypes.DefaultParams()},
		&creditstypes.MsgUpdateParams{Authority: a.Address, Params: creditstypes.DefaultParams()},
		&computetypes.MsgReportVM{Miner: a.Address},
	} {
		f.Add(h.Sign(a, m))
	}
	before := totals(f, h)
	f.Fuzz(func(t *testing.T, raw []byte) {
		_ = h.Check(raw) // no answer but an answer
		tx, err := h.App.TxConfig().TxDecoder()(raw)
		if err != nil {
			return
		}
		for _, m := range tx.GetMsgs() {
			if v, ok := m.(sdk.HasValidateBasic); ok {
				_ = v.ValidateBasic()
			}
		}
		if after := totals(t, h); after != before {
			t.Fatalf("a first check changed the books from %+v to %+v", before, after)
		}
	})
}

// A report is free for registered miners only.
func TestReportOfAStranger(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: credit}}})
	a := apptest.Named("a")
	before := balance(t, h, a)
	if _, err := h.Deliver(a, &computetypes.MsgReportVM{Miner: a.Address}); err == nil {
		t.Fatal("accepted")
	}
	if after := balance(t, h, a); after != before {
		t.Errorf("%+v became %+v", before, after)
	}
}
