package computetest

import (
	"fmt"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// hanging is a VM without data of which its host says for so long that it starts it, on one of two miners.
func hanging(t *testing.T, seconds int64) (w *world, a, bad, good apptest.Account, id string) {
	t.Helper()
	w = newWorld(t, nil)
	all := []apptest.Account{w.miner("miner0"), w.miner("miner1")}
	a = w.tenant("tenant")
	id = w.create(a, "web-1")
	bad, good = w.holder(id), all[0]
	if bad.Address == good.Address {
		good = all[1]
	}
	w.report(w.says(id, vm.Provisioning))
	w.alive(seconds, 20, all...)
	return w, a, bad, good, id
}

// avoids wants the tenant's next VMs on the good miner, and nothing in the record of the other.
func (w *world) avoids(a, bad, good apptest.Account) {
	w.t.Helper()
	if e := w.exclusions(); len(e) != 1 || e[0].Owner != a.Address || e[0].Miner != bad.Address {
		w.t.Errorf("exclusions are %+v", e)
	}
	w.alive(1, 1, bad, good)
	for i := range 3 {
		if next := w.create(a, fmt.Sprint("next-", i)); w.holder(next).Address != good.Address {
			w.t.Errorf("VM %d after it is on the miner on which the first hung", i)
		}
	}
	if n := w.failed(bad, good); n[0] != 0 || n[1] != 0 {
		w.t.Errorf("failed are %v", n)
	}
}

// A tenant whose VM hangs before it has data, and who ends that start in any way, does not get the same miner again.
func TestEndingAStartThatHangsExcludesItsMiner(t *testing.T) {
	start := func(w *world, a apptest.Account, id string) {
		w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	}
	for name, end := range map[string]func(w *world, a, bad, good apptest.Account, id string){
		"stop": func(w *world, a, _, _ apptest.Account, id string) {
			w.off(a, id)
			start(w, a, id)
		},
		"stop of what is said to run": func(w *world, a, _, _ apptest.Account, id string) {
			w.report(w.says(id, vm.Running))
			w.off(a, id)
			start(w, a, id)
		},
		"stop that the miner does not confirm": func(w *world, a, bad, good apptest.Account, id string) {
			w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
			w.alive(1800, 300, bad, good)
			start(w, a, id)
		},
		"run-out": func(w *world, a, _, _ apptest.Account, id string) {
			if err := w.App.Keepers.Compute.AfterRunOut(w.Ctx(), a.Address); err != nil {
				w.t.Fatal(err)
			}
			w.report(w.says(id, vm.Stopped))
			start(w, a, id)
		},
		"terminate": func(w *world, a, _, _ apptest.Account, id string) {
			w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
		},
		"credit that is spent": func(w *world, a, _, _ apptest.Account, _ string) {
			if err := w.App.Keepers.Compute.AfterSpent(w.Ctx(), a.Address); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, bad, good, id := hanging(t, vm.BootAllowance+20)
			end(w, a, bad, good, id)
			w.avoids(a, bad, good)
			v := w.vm(id)
			if v.Ended() {
				return
			}
			if v.Status.Miner != good.Address || v.Status.InstanceSeq != 2 {
				t.Fatalf("started again, it is %s on %q as instance %d", v.Status.Phase.Core(), v.Status.Miner, v.Status.InstanceSeq)
			}
			if u := w.registered(bad).Usage; u.Vms != 0 {
				t.Errorf("the first miner still holds %+v", u)
			}
			w.boot(id)
			if n := w.failed(bad); n[0] != 0 {
				t.Errorf("failed are %v", n)
			}
			w.again()
		})
	}
}

// A stop of which the miner alone is late is its failure to answer all the same.
func TestStopThatIsNotConfirmed(t *testing.T) {
	w, a, bad, good, id := hanging(t, 20)
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
	w.alive(1900, 50, bad, good)
	w.is(id, vm.Failed, vm.ReasonNoProof)
	w.avoids(a, bad, good)
}

// Who stops a VM before it could have come up, or one with data, gets it back on the same host, and nobody is excluded.
func TestStopThatIsNoHang(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T) (w *world, a, m apptest.Account, id string){
		"early": func(t *testing.T) (w *world, a, m apptest.Account, id string) {
			t.Helper()
			w, a, m, _, id = hanging(t, vm.BootAllowance-20)
			return w, a, m, id
		},
		"the chain halted": func(t *testing.T) (w *world, a, m apptest.Account, id string) {
			t.Helper()
			w, a, m, _, id = hanging(t, 20)
			w.NextBlock(600)
			return w, a, m, id
		},
		"with data": func(t *testing.T) (w *world, a, m apptest.Account, id string) {
			t.Helper()
			w, a, m, id = startedWithData(t)
			w.report(w.says(id, vm.Provisioning))
			w.alive(600, 20, m)
			return w, a, m, id
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, m, id := prepare(t)
			seq := w.vm(id).Status.InstanceSeq
			w.off(a, id)
			w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
			if v := w.is(id, vm.Provisioning, vm.ReasonTenant); v.Status.Miner != m.Address || v.Status.InstanceSeq != seq || len(w.exclusions()) != 0 {
				t.Errorf("it is on %q as instance %d, exclusions are %+v", v.Status.Miner, v.Status.InstanceSeq, w.exclusions())
			}
		})
	}
}
