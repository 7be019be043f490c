package bounds

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/client"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/tenant"
)

// spaced is a number as the page of attacks writes it: 12 345, but 1234.
func spaced(n uint64) string {
	s := strconv.FormatUint(n, 10)
	if len(s) < 5 {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// The figures from which the page of attacks computes costs follow from the shipped parameters.
func TestFiguresOfAttacks(t *testing.T) {
	doc, err := os.ReadFile("../../docs/design/20261130-attacks.md")
	if err != nil {
		t.Fatal(err)
	}
	market, fees := markettypes.DefaultParams(), creditstypes.DefaultParams().Fees()
	fee := func(gas, bytes uint64) uint64 {
		u, err := fees.Of(gas, bytes)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	rates := func(p plan.Plan) plan.Rates {
		r, err := market.Prices().Quote(p.Size)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	plans := plan.Defaults()
	smallest, largest := rates(plans[0]), rates(plans[len(plans)-1])
	for what, figure := range map[string]uint64{
		"light message":                 fee(150_000, 350),
		"message":                       fee(client.ReportGas(0), 400),
		"order":                         fee(client.InstancesGas(tenant.FirstDeal, computetypes.MaxReceipts), 20_000),
		"deal":                          fee(client.InstancesGas(computetypes.MaxInstances, computetypes.MaxReceipts), 37_000),
		"revocation of 64 certificates": fee(client.FingerprintsGas(meshtypes.MaxRevocationsPerMessage), 2500),
		"a keeper's registration":       fee(1_000_000, 400),
		"spark, running":                smallest.Running,
		"spark, stopped":                smallest.Stopped,
		"sovereign, running":            largest.Running,
		"sovereign, stopped":            largest.Stopped,
		"hold-back of a spark":          market.Holdback(smallest.Stopped),
		"hold-back of a sovereign":      market.Holdback(largest.Stopped),
		"to create a VM":                market.MinCreateUcredit,
		"bond of a miner":               registrytypes.DefaultParams().MinBondUhip,
		"half of all blocks by gas":     app.MaxBlockGas / 1_000_000 * app.LanePercent / 100 * fees.PerMillionGas * 3600,
		"lighthouse's rent":             meshtypes.DefaultParams().LighthouseRentUcredit,
	} {
		if row := "| " + what + " | " + spaced(figure) + " |"; !strings.Contains(string(doc), row) {
			t.Errorf("the page has no row %s", row)
		}
	}
}
