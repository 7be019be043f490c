package app_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
	"github.com/hippius/compute/core/plan"
)

// seeds are transactions of every kind of message of these modules.
func seeds(h *apptest.Harness, a apptest.Account) [][]byte {
	var out [][]byte
	for _, m := range []sdk.Msg{
		buy(a, a, credit, "seed"),
		&rankingtypes.MsgClaimEarnings{Operator: a.Address},
		&markettypes.MsgSetPlan{Authority: a.Address, Plan: markettypes.PlanOf(plan.Defaults()[0])},
		&markettypes.MsgSetApp{Authority: a.Address, App: markettypes.AppOf(plan.DefaultApps()[0])},
		&markettypes.MsgSetImage{Authority: a.Address, Image: markettypes.Image{Name: "x", Urls: []string{"https://example.org/x"}}},
		&markettypes.MsgUpdateParams{Authority: a.Address, Params: markettypes.DefaultParams()},
		&creditstypes.MsgUpdateParams{Authority: a.Address, Params: creditstypes.DefaultParams()},
		&computetypes.MsgReportVM{Miner: a.Address},
	} {
		out = append(out, h.Sign(a, m))
	}
	return out
}

// throwIn lets a node check bytes: whatever comes it answers, and the books are as before.
func throwIn(t *testing.T, h *apptest.Harness, raw []byte) {
	t.Helper()
	before := totals(t, h)
	_ = h.Check(raw) // any answer will do
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
}

func FuzzTransaction(f *testing.F) {
	h := apptest.New(f, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Uhip: 100 * credit, Ucredit: 10 * credit}}})
	for _, s := range seeds(h, apptest.Named("a")) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw []byte) { throwIn(t, h, raw) })
}

// The same with changes by chance, in every run of the tests.
func TestDamagedTransactions(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Uhip: 100 * credit, Ucredit: 10 * credit}}})
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range seeds(h, apptest.Named("a")) {
		for range 300 {
			raw := bytes.Clone(s)
			for range 1 + rng.IntN(4) {
				i := rng.IntN(len(raw))
				switch rng.IntN(4) {
				case 0:
					raw = raw[:i+1]
				case 1:
					raw = append(raw[:i:i], s[rng.IntN(len(s)):]...)
				default:
					raw[i] = byte(rng.Uint32())
				}
			}
			throwIn(t, h, raw)
		}
	}
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
