package computetest

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

const day = 86_400

// A VM that failed with data keeps its disk on its miner, and pays for it as if it were stopped, unless the miner says
// that it has no disk.
func TestDiskOfAFailedVMIsCharged(t *testing.T) {
	for reason, want := range map[string]uint64{"start_failed": 600 * sparkHD, vm.ReasonDiskMissing: 0} {
		t.Run(reason, func(t *testing.T) {
			w := newWorld(t, nil)
			w.miner("miner0")
			a := w.tenant("tenant")
			id := w.running(a, "web-1")
			failed := func() computetypes.VMReport {
				r := w.says(id, vm.Failed)
				r.Reason = reason
				return r
			}
			w.report(failed())
			before := w.billed(a)
			if got := w.rate(a); got != want/600 {
				t.Errorf("the rate is %d, want %d", got, want/600)
			}
			for range 20 {
				w.NextBlock(30)
				w.report(failed())
			}
			// The blocks of reports take a second each.
			if got := w.billed(a) - before; got < want || got > want+want/10 {
				t.Errorf("ten minutes cost %d units, want %d", got, want)
			}
		})
	}
}

// stoppedOut is a stopped VM of an account that has only its hold-back left: 37 days of the disk.
func stoppedOut(t *testing.T) (w *world, a, m apptest.Account, id string) {
	t.Helper()
	// A report counts for ten minutes, so that weeks pass in few blocks.
	w = newWorld(t, map[string]string{"compute": `{"params":{"max_proof_gap_seconds":"600"}}`})
	m = w.miner("miner0")
	a = w.tenant("tenant")
	id = w.running(a, "web-1")
	w.off(a, id)
	held := w.statement(a).HoldbackUcredit
	if held != 37*24*sparkHD {
		t.Fatalf("%d ucredit are held back", held)
	}
	w.leave(a, held)
	return w, a, m, id
}

// keeping has the miner report every ten minutes that the VM is off, until it is something else or so many days are over.
// It returns the notices that were given, in days since the beginning.
func (w *world) keeping(id string, days int64) (passed int64, notices map[string]int64) {
	w.t.Helper()
	notices = map[string]int64{}
	for ; passed < days*day && w.vm(id).Status.Phase.Core() == vm.Stopped; passed += 600 {
		w.NextBlock(599)
		for _, e := range w.Events(markettypes.EventEnding) {
			notices[e[markettypes.AttributeNotice]] = (passed + day/2) / day
		}
		if w.vm(id).Status.Phase.Core() == vm.Stopped {
			w.report(w.says(id, vm.Stopped))
		}
	}
	return passed, notices
}

// The hold-back keeps a stopped disk until it is spent. Then, after two notices, the VM is terminated, and its miner is rid of it.
func TestVMEndsWhenItsHoldBackIsSpent(t *testing.T) {
	w, a, m, id := stoppedOut(t)
	w.keeping(id, 1)
	w.leave(a, 9*24*sparkHD)
	passed, notices := w.keeping(id, 12)
	if want := map[string]int64{"1": 2, "2": 8}; !maps.Equal(notices, want) {
		t.Errorf("notices on days %v, want %v", notices, want)
	}
	if got := (passed + day/2) / day; got != 9 {
		t.Errorf("it is kept for %d days", got)
	}
	w.is(id, vm.Terminating, vm.ReasonUnpaid)
	if st := w.statement(a); st.BalanceUcredit > 1 {
		t.Errorf("%d ucredit are left", st.BalanceUcredit)
	}
	w.report(w.says(id, vm.Terminated))
	w.is(id, vm.Terminated, vm.ReasonUnpaid)
	if u := w.registered(m).Usage; u != (registrytypes.Usage{}) {
		t.Errorf("the miner still holds %+v", u)
	}
}

// Whoever spends the hold-back on fees has its disks kept for a day at most, and is told twice all the same.
func TestHoldBackSpentOnFees(t *testing.T) {
	w, a, _, id := stoppedOut(t)
	w.leave(a, 0)
	passed, notices := w.keeping(id, 3)
	if len(notices) != 2 || passed < 23*3600 || passed > day+7200 {
		t.Errorf("terminated after %d s and notices on days %v", passed, notices)
	}
	w.is(id, vm.Terminating, vm.ReasonUnpaid)
}

// A notice says how long the credit lasts for all disks, also of VMs that are still being stopped.
func TestNoticeSaysHowLongTheDisksLast(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	first := w.running(a, "web-1")
	w.running(a, "web-2")
	w.off(a, first)
	w.leave(a, w.statement(a).HoldbackUcredit)
	w.NextBlock(30)
	if st := w.statement(a); st.UcreditPerHour != sparkHD || st.Meter.DiskRate != 2*sparkHD || st.Meter.RanOutAt == 0 {
		t.Fatalf("%+v", st)
	}
	const week = 7 * 24 * 2 * sparkHD
	if err := w.App.Keepers.Credits.Consume(w.Ctx(), a.Address, w.statement(a).BalanceUcredit-week, a.Address); err != nil {
		t.Fatal(err)
	}
	var told []string
	for range 3 {
		w.NextBlock(1800)
		for _, e := range w.Events(markettypes.EventEnding) {
			told = append(told, e[markettypes.AttributeRunway])
		}
	}
	if len(told) != 1 {
		t.Fatalf("notices %v", told)
	}
	if left, err := strconv.ParseInt(told[0], 10, 64); err != nil || left > 7*day || left < 7*day-3600 {
		t.Errorf("the notice says %d s, %v", left, err)
	}
}

// Credits that come in time keep the disk, and notices count anew.
func TestCreditsBeforeTheEndKeepTheDisk(t *testing.T) {
	w, a, _, id := stoppedOut(t)
	w.leave(a, 6*24*sparkHD) // what six days of disk cost
	if _, notices := w.keeping(id, 1); len(notices) != 1 {
		t.Fatalf("notices %v", notices)
	}
	rich := apptest.Named("miner5")
	w.MustDeliver(rich, buy(rich, a, 50))
	if m := w.statement(a).Meter; m.Notices != 0 || m.RanOutAt != 0 {
		t.Errorf("%+v", m)
	}
	w.keeping(id, 1)
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.is(id, vm.Provisioning, vm.ReasonTenant)
}

// A VM with data whose host is not seen for a week is taken from it. Its disk is lost, so it is rebuilt or terminated.
func TestHostThatIsGone(t *testing.T) {
	for _, phase := range []vm.Phase{vm.Running, vm.Stopped, vm.Failed} {
		t.Run(phase.String(), func(t *testing.T) {
			w := newWorld(t, nil)
			m := w.miner("miner0")
			a := w.tenant("tenant")
			id := w.running(a, "web-1")
			switch phase { //nolint:exhaustive // it runs already
			case vm.Stopped:
				w.off(a, id)
			case vm.Failed:
				w.report(w.says(id, vm.Failed))
			}
			for range 6 {
				w.alive(day, day, m) // it is seen, and says nothing of the VM
			}
			for range 6 {
				w.NextBlock(day)
			}
			w.is(id, phase, w.vm(id).Status.Reason)
			w.NextBlock(day + 3600)
			w.NextBlock(1)
			v := w.is(id, vm.Failed, vm.ReasonHostGone)
			if u := w.registered(m).Usage; v.Status.Miner != "" || u != (registrytypes.Usage{}) {
				t.Fatalf("held by %q, which holds %+v", v.Status.Miner, u)
			}
			w.refused(computetypes.ErrWrongPhase, a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
			w.miner("miner1")
			w.MustDeliver(a, rebuild(a, id, "debian-12"))
			if got := w.holder(id); got.Address == m.Address {
				t.Error("it is back on the miner that is gone")
			}
		})
	}
}

// A VM that is terminated frees its address and its miner's capacity after a day, also if the miner never confirms. The miner
// is told when it is back.
func TestTerminateOnADeadMiner(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	address := w.vm(id).Spec.MeshAddress
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	w.pass(day - 60)
	w.is(id, vm.Terminating, vm.ReasonTenant)
	w.NextBlock(120)
	w.is(id, vm.Terminated, vm.ReasonTenant)
	if u := w.registered(m).Usage; u != (registrytypes.Usage{}) {
		t.Errorf("held are %+v", u)
	}
	w.alive(1, 1, m)
	again := w.create(a, "web-1", func(c *computetypes.MsgCreateVM) { c.Spec.MeshAddress = address })
	w.is(again, vm.Assigned, "")
	left, err := w.compute.MinerVMs(w.Ctx(), &computetypes.QueryMinerVMsRequest{Miner: m.Address, AfterHeight: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(left.Released, id) {
		t.Errorf("the miner is not told to let go of %s", id)
	}
}
