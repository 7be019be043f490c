package computetest

import (
	"testing"

	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// What may be made in a block is forgotten in one: else exclusions, and what miners let go of, grow for as long as VMs fail.
func TestAsMuchIsForgottenAsIsMade(t *testing.T) {
	tr := newTrial(t, 2)
	tr.join(75, 0, "", func(_ bool, m *registrytypes.MsgRegisterMiner) { small(8)(m) })
	for round := range 8 {
		ids := []string{tr.createOne(tr.tenants[0], round), tr.createOne(tr.tenants[1], round)}
		tr.seen()
		for range 8 {
			for _, id := range ids {
				r := tr.says(id, vm.Failed)
				r.Reason = "start_failed"
				tr.tell(tr.now(id).Status.Miner, r)
			}
			tr.deliver(1, nil)
		}
	}
	count := func() (exclusions, released int) {
		g, err := tr.App.Keepers.Compute.ExportGenesis(tr.Ctx())
		if err != nil {
			t.Fatal(err)
		}
		return len(g.Exclusions), len(g.Released)
	}
	if e, r := count(); e <= 100 || r <= 100 {
		t.Fatalf("%d exclusions, %d released", e, r)
	}
	tr.deliver(day, nil)
	if e, _ := count(); e != 0 {
		t.Errorf("%d exclusions are left when all ended", e)
	}
	tr.deliver(7*day, nil)
	if _, r := count(); r != 0 {
		t.Errorf("%d released entries are left when all are old", r)
	}
}
