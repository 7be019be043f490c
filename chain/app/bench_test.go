package app_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
)

// BenchmarkBlockOfSettlements is a block in which 500 meters are due, as many as one block settles.
func BenchmarkBlockOfSettlements(b *testing.B) {
	const n = 500
	var funds []apptest.Funds
	for i := range n {
		funds = append(funds, apptest.Funds{Name: fmt.Sprintf("t%d", i), Ucredit: 1000 * credit})
	}
	h := apptest.New(b, apptest.Options{Accounts: funds, Broken: true, Genesis: params(`{"settle_interval_seconds":"1"}`)})
	k, miner := h.App.Keepers.Marketplace, apptest.Named("miner").Address
	l := newLines(k)
	for _, f := range funds {
		a := apptest.Named(f.Name).Address
		if err := errors.Join(k.AddVM(h.Ctx(), a, 900), k.SetRate(h.Ctx(), a, 8900)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		b.StopTimer()
		h.NextBlock(0)
		for _, f := range funds {
			if err := l.attest(apptest.Named(f.Name).Address, miner, 8900, h.Now()-30, h.Now()); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		h.NextBlock(1)
	}
	if got := len(h.Events("hippius.marketplace.meter_settled")); got != n {
		b.Fatalf("%d settled", got)
	}
}
