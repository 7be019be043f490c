package computetest

import (
	"errors"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// failedOnAFullHost is a VM with data that its miner says failed, with the power on, on a host whose room is another's now.
func failedOnAFullHost(t *testing.T) (w *world, a, m apptest.Account, id, other string) {
	t.Helper()
	w = newWorld(t, nil)
	m = w.miner("miner0", memory(2048))
	a = w.tenant("tenant")
	id = w.running(a, "web-1")
	w.fails(id, "start_failed")
	if u := w.registered(m).Usage; u.Vms != 1 || u.Vcpus != 0 || u.MemoryMib != 0 || u.DiskGib != 18 {
		t.Fatalf("failed, it takes %+v", u)
	}
	return w, a, m, id, w.running(a, "web-2")
}

// A failed VM holds its disk only. Its miner or its tenant start it again as far as there is room.
func TestFailedVMHoldsItsDiskOnly(t *testing.T) {
	w, a, m, id, other := failedOnAFullHost(t)
	for _, p := range []vm.Phase{vm.Provisioning, vm.Running} {
		if _, err := w.try(m, w.says(id, p)); !errors.Is(err, computetypes.ErrNoRoomOnHost) {
			t.Errorf("that it is %s: %v", p, err)
		}
	}
	w.refused(computetypes.ErrNoRoomOnHost, a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.refused(computetypes.ErrNoRoomOnHost, a, rebuild(a, id, "debian-12"))
	w.is(id, vm.Failed, "start_failed")
	w.off(a, other)
	w.report(w.says(id, vm.Provisioning))
	w.report(w.proven(w.says(id, vm.Running)))
	if u := w.registered(m).Usage; u.Vms != 2 || u.Vcpus != 1 || u.MemoryMib != 2048 || u.DiskGib != 36 {
		t.Errorf("they take %+v", u)
	}
}

// What gives a failed VM up is not refused for want of room.
func TestFailedVMOnAFullHostEnds(t *testing.T) {
	for name, end := range map[string]struct {
		do    func(w *world, a apptest.Account, id string)
		phase vm.Phase
	}{
		"stopped": {func(w *world, a apptest.Account, id string) {
			w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
		}, vm.Stopped},
		"terminated": {func(w *world, a apptest.Account, id string) {
			w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
		}, vm.Terminating},
		"run out": {func(w *world, a apptest.Account, _ string) {
			w.leave(a, w.statement(a).HoldbackUcredit)
			w.NextBlock(30)
		}, vm.Stopped},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, m, id, other := failedOnAFullHost(t)
			end.do(w, a, id)
			if v := w.vm(id); v.Status.Phase.Core() != end.phase || v.Spec.Power != computetypes.Power_POWER_OFF {
				t.Fatalf("it is %s, power %s", v.Status.Phase.Core(), v.Spec.Power)
			}
			confirmed := vm.Stopped
			if end.phase == vm.Terminating {
				confirmed = vm.Terminated
			}
			w.report(w.says(id, confirmed))
			if w.vm(other).Status.Phase.Core() == vm.Stopping {
				w.report(w.says(other, vm.Stopped))
			}
			w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: other})
			w.report(w.says(other, vm.Terminated))
			if end.phase == vm.Stopped {
				w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
				w.report(w.says(id, vm.Terminated))
			}
			if u := w.registered(m).Usage; u != (registrytypes.Usage{}) {
				t.Errorf("left are %+v", u)
			}
		})
	}
}
