package computetest

import (
	"fmt"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// batch delivers a miner's reports as chain/client sends them, with its gas, and returns the gas taken.
func (w *world) batch(miner apptest.Account, reports ...computetypes.VMReport) (gas int64, err error) {
	w.t.Helper()
	res, err := w.DeliverAll(w.Sign(miner, &computetypes.MsgReportVM{Miner: miner.Address, Reports: reports}))
	if err != nil {
		w.t.Fatal(err)
	}
	return res[0].GasUsed, apptest.Outcome(res[0])
}

func large(name string) func(*registrytypes.MsgRegisterMiner) {
	return func(m *registrytypes.MsgRegisterMiner) {
		m.Name = name
		m.Capacity.Cores, m.Capacity.MemoryMib, m.Capacity.DiskGib = 64, 1<<20, 10_000
	}
}

// A miner reports every 30 s for two hours, with the gas that clients give and the parameters that networks start with:
// however many VMs a tenant has on it, every proven second is billed, no batch fails, and the last costs what the first did.
func TestBillingWithShippedParameters(t *testing.T) {
	for _, vms := range []int{1, 5, 10, 46} {
		t.Run(fmt.Sprint(vms, " VMs"), func(t *testing.T) {
			w := newWorld(t, map[string]string{"registry": noNewcomers}) // one miner has them all
			m := w.miner("miner0", large("miner0"))
			a := w.tenant("tenant")
			var ids []string
			for i := range vms {
				ids = append(ids, w.create(a, fmt.Sprintf("web-%d", i)))
			}
			for _, id := range ids {
				w.boot(id)
			}
			start, fees := w.Now(), w.ucredit(m)
			lost := 0
			var first, last int64
			const every, hours = 30, 2
			for range hours * 3600 / every {
				w.NextBlock(every)
				var reports []computetypes.VMReport
				for _, id := range ids {
					reports = append(reports, w.proven(w.says(id, vm.Running)))
				}
				gas, err := w.batch(m, reports...)
				if err != nil {
					lost++
				}
				if last = gas; first == 0 {
					first = gas
				}
			}
			proven := uint64(vms) * uint64(w.Now()-start) * spark
			t.Logf("billed %.1f %%, %d batches lost, gas %d then %d", 100*float64(w.billed(a))/float64(proven), lost, first, last)
			if left := w.ucredit(m); left != fees {
				t.Errorf("the miner paid %d ucredit for its reports", fees-left)
			}
			if lost > 0 || w.billed(a) != proven {
				t.Errorf("billed %d of %d units, %d batches lost", w.billed(a), proven, lost)
			}
			if last > first+first/20 {
				t.Errorf("a batch took %d gas at first and %d at last", first, last)
			}
		})
	}
}
