package computetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/cosmos/cosmos-sdk/client"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/core/vm"
)

// limited is a batch with a gas limit.
func (w *world) limited(m apptest.Account, gas uint64, reports ...computetypes.VMReport) []byte {
	w.t.Helper()
	return w.SignWith(m, func(b client.TxBuilder) { b.SetGasLimit(gas) }, &computetypes.MsgReportVM{Miner: m.Address, Reports: reports})
}

// ucredit is an account's balance.
func (w *world) ucredit(a apptest.Account) uint64 {
	w.t.Helper()
	u, err := w.App.Keepers.Credits.Ucredit(w.Ctx(), a.Address)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// paid tells whether a batch that went through cost its miner credits.
func (w *world) paid(m apptest.Account, tx []byte) bool {
	w.t.Helper()
	before := w.ucredit(m)
	results, err := w.DeliverAll(tx)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := apptest.Outcome(results[0]); err != nil {
		w.t.Fatalf("%s: %v", w, err)
	}
	return w.ucredit(m) != before
}

// What a miner reports without a fee follows from what it holds: one batch in 15 s, an empty one in 30 s.
func TestFreeReportsOverTime(t *testing.T) {
	for _, c := range []struct {
		name  string
		empty bool
		every int64
		// most batches that are free in ten minutes: the rate, and a burst.
		most int
	}{{"empty", true, 5, 600/30 + 1}, {"of a VM", false, 5, 600/15 + 4}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			m := w.miner("miner0")
			id := w.running(w.tenant("tenant"), "web-1")
			free := 0
			for range 600 / c.every {
				w.NextBlock(c.every)
				var reports []computetypes.VMReport
				if !c.empty {
					reports = append(reports, w.proven(w.says(id, vm.Running)))
				}
				if !w.paid(m, w.limited(m, 450_000, reports...)) {
					free++
				}
			}
			t.Logf("%d of %d batches were free", free, 600/c.every)
			if free > c.most || free < c.most-5 {
				t.Errorf("%d batches were free in ten minutes, want about %d and not more", free, c.most)
			}
		})
	}
}

// The gas limit of a batch without a fee is bounded by the VMs that its miner holds.
func TestFreeReportsGas(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	p := computetypes.DefaultParams()
	base, each := p.FreeReportGas, p.FreeReportGasPerVm
	a := w.tenant("tenant")
	ids := []string{w.running(a, "web-1"), w.running(a, "web-2")}
	for _, c := range []struct {
		gas     uint64
		reports []string
		paid    bool
	}{
		{base, nil, false},
		{base + 1, nil, true},
		{base + 2*each, nil, true},
		{base + 2*each, ids, false},
		{base + 2*each + 1, ids, true},
		{base + each, ids[:1], false},
		{base + 2*each, ids[:1], false},
		{50_000_000, ids, true},
	} {
		w.NextBlock(120)
		var reports []computetypes.VMReport
		for _, id := range c.reports {
			reports = append(reports, w.says(id, vm.Running))
		}
		if got := w.paid(m, w.limited(m, c.gas, reports...)); got != c.paid {
			t.Errorf("%d reports with %d gas: paid %v", len(reports), c.gas, got)
		}
	}
}

// A miner without means is refused beyond its free reports, at the first check as in the block.
func TestReportsBeyondTheFreeOnesAreRefusedWithoutMeans(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	w.NextBlock(60)
	coins := w.App.Keepers.Bank.SpendableCoins(w.Ctx(), m.Acc())
	w.leave(m, 0)
	if err := w.App.Keepers.Bank.SendCoins(w.Ctx(), m.Acc(), apptest.Named("other").Acc(), coins); err != nil {
		t.Fatal(err)
	}
	w.NextBlock(0)
	for i := range 3 {
		tx := w.limited(m, 300_000)
		checked := w.Check(tx)
		results, err := w.DeliverAll(tx)
		if err != nil {
			t.Fatal(err)
		}
		executed := apptest.Outcome(results[0])
		if i == 0 && (checked != nil || executed != nil) {
			t.Fatalf("the free one: %v, %v", checked, executed)
		}
		if i > 0 && (!errors.Is(checked, creditstypes.ErrInsufficient) || !errors.Is(executed, creditstypes.ErrInsufficient)) {
			t.Errorf("batch %d: %v at the check, %v in the block", i, checked, executed)
		}
	}
}

// What a miner used of its free reports is one record, however often it reports.
func TestFreeReportsAreOneRecord(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	for range 20 {
		w.NextBlock(7)
		w.MustDeliver(m, &computetypes.MsgReportVM{Miner: m.Address})
	}
	g, err := w.App.Keepers.Compute.ExportGenesis(w.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	if len(g.ReportRates) != 1 || g.ReportRates[0].Miner != m.Address {
		t.Errorf("records %v", g.ReportRates)
	}
	bad := *g
	bad.ReportRates = append(slices.Clone(g.ReportRates), g.ReportRates...)
	if err := bad.Validate(); !errors.Is(err, computetypes.ErrInvalid) {
		t.Errorf("a miner twice: %v", err)
	}
}
