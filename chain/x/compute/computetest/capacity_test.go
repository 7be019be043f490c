package computetest

import (
	"errors"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// memory gives a miner so much of it, in MiB, and enough of the rest.
func memory(mib uint64) func(*registrytypes.MsgRegisterMiner) {
	return func(m *registrytypes.MsgRegisterMiner) {
		m.Capacity.Cores, m.Capacity.MemoryMib, m.Capacity.DiskGib = 64, mib, 10_000
	}
}

// off stops a running VM, with its miner's confirmation.
func (w *world) off(a apptest.Account, id string) {
	w.t.Helper()
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
	w.report(w.says(id, vm.Stopped))
}

// A stopped VM keeps its disk and nothing else: what it ran with goes to others, and is taken again when it starts.
func TestStoppedVMHoldsItsDiskOnly(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0", memory(2048))
	a := w.tenant("tenant")
	first := w.running(a, "web-1")
	w.off(a, first)
	if u := w.registered(m).Usage; u.Vms != 1 || u.Vcpus != 0 || u.MemoryMib != 0 || u.DiskGib != 18 {
		t.Fatalf("stopped, it takes %+v", u)
	}
	second := w.running(a, "web-2")
	w.refused(computetypes.ErrNoRoomOnHost, a, &computetypes.MsgStartVM{Owner: a.Address, VmId: first})
	w.refused(computetypes.ErrNoRoomOnHost, a, rebuild(a, first, "debian-12"))
	w.is(first, vm.Stopped, vm.ReasonTenant)
	w.off(a, second)
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: first})
	w.refused(computetypes.ErrNoRoomOnHost, a, &computetypes.MsgStartVM{Owner: a.Address, VmId: second})
	if u := w.registered(m).Usage; u.Vms != 2 || u.Vcpus != 1 || u.MemoryMib != 2048 || u.DiskGib != 36 {
		t.Fatalf("one started, both take %+v", u)
	}
}

// What gives nothing up but needs nothing either is never refused for want of room.
func TestStoppedVMOnAFullHostEnds(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0", memory(2048))
	a := w.tenant("tenant")
	first := w.running(a, "web-1")
	w.off(a, first)
	w.running(a, "web-2")
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: first})
	w.report(w.says(first, vm.Terminated))
	w.is(first, vm.Terminated, vm.ReasonTenant)
	if u := w.registered(m).Usage; u.Vms != 1 || u.MemoryMib != 2048 {
		t.Fatalf("taken are %+v", u)
	}
}

// A stopped VM that is resized takes nothing of a host but its disk until it starts.
func TestResizeOfAStoppedVMTakesNoRoom(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0", memory(4096))
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	w.off(a, id)
	w.resized(a, id, "sovereign")
	if u := w.registered(m).Usage; u.Vcpus != 0 || u.MemoryMib != 0 {
		t.Fatalf("it takes %+v", u)
	}
	w.refused(computetypes.ErrNoRoomOnHost, a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.running(a, "web-2")
	w.running(a, "web-3")
}

// reporting has a VM's miner say the same every 30 s, for so long or until the VM is something else.
func (w *world) reporting(id string, p vm.Phase, seconds int64) (passed int64) {
	w.t.Helper()
	for ; passed < seconds && w.vm(id).Status.Phase.Core() == p; passed += 30 {
		w.report(w.says(id, p))
		w.NextBlock(30)
	}
	return passed
}

// A VM that never proves itself has a deadline, whatever its miner reports: provisioning, or running.
func TestReportsHoldNoDeadlineOff(t *testing.T) {
	for phase, reason := range map[vm.Phase]string{
		vm.Provisioning: vm.ReasonBootTimeout, vm.Running: vm.ReasonNoProof,
	} {
		t.Run(phase.String(), func(t *testing.T) {
			w := newWorld(t, nil)
			m := w.miner("miner0")
			a := w.tenant("tenant")
			id := w.create(a, "web-1")
			w.report(w.says(id, vm.Provisioning))
			w.report(w.says(id, phase))
			passed := w.reporting(id, phase, 7200)
			if passed < 1800 || passed > 1900 {
				t.Fatalf("it was over after %d s", passed)
			}
			v := w.vm(id)
			if v.Status.Miner != "" || v.Status.Reason != reason && v.Status.Reason != vm.ReasonRetryWait {
				t.Fatalf("%+v", v.Status)
			}
			if u := w.registered(m).Usage; u != (registrytypes.Usage{}) || w.billed(a) != 0 {
				t.Fatalf("taken are %+v, billed %d", u, w.billed(a))
			}
		})
	}
}

// A VM with data that does not start again stays where its data is, and holds its disk only once it is given up.
func TestStartThatTakesTooLong(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	host := w.holder(id)
	w.off(a, id)
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.report(w.says(id, vm.Provisioning))
	w.reporting(id, vm.Provisioning, 7200)
	if v := w.is(id, vm.Failed, vm.ReasonBootTimeout); v.Status.Miner != host.Address {
		t.Fatalf("%+v", v.Status)
	}
	// That its miner succeeds after all is too late; the tenant starts it anew.
	if _, err := w.try(host, w.proven(w.says(id, vm.Running))); !errors.Is(err, computetypes.ErrBadTransition) {
		t.Errorf("a report of the start that is over: %v", err)
	}
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.report(w.proven(w.says(id, vm.Running)))
	w.is(id, vm.Running, "")
}
