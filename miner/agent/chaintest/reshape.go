package chaintest

import (
	"testing"

	"github.com/hippius/compute/core/vm"
)

// reboot: a report from before it confirms what was before it.
func reboot(t *testing.T, h *Harness) {
	id := h.up(t)
	before := h.says(t, id, vm.Running)
	h.Order(t, id, vm.Reboot)
	if v := h.is(t, id, vm.Rebooting, vm.ReasonTenant); v.Spec.RebootSeq != 1 || v.Generation != 2 {
		t.Fatalf("to be rebooted: %+v", v)
	}
	h.report(t, h.proven(t, before))
	if v := h.vm(t, id); v.Status.Phase != vm.Rebooting || v.Status.ObservedRebootSeq != 0 {
		t.Fatalf("the reboot was undone: %+v", v.Status)
	}
	h.report(t, h.says(t, id, vm.Rebooting))
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))
	if v := h.is(t, id, vm.Running, ""); v.Status.ObservedRebootSeq != 1 {
		t.Fatalf("rebooted: %+v", v.Status)
	}
}

// resize with a restart is in effect with the first proof of a run that has the new size.
func resize(t *testing.T, h *Harness) {
	id := h.up(t)
	old, before := h.vm(t, id).Size, h.says(t, id, vm.Running)
	h.Resize(t, id, true)
	v := h.is(t, id, vm.Rebooting, vm.ReasonResize)
	if v.Generation != 2 || v.Size != old || v.Resize == nil || v.Resize.Generation != 2 || !v.Resize.Restart {
		t.Fatalf("ordered: %+v", v)
	}
	want := v.Resize.Size
	h.report(t, h.proven(t, before))
	seen := h.says(t, id, vm.Running)
	seen.SizeGeneration--
	h.report(t, h.proven(t, seen))
	if v = h.vm(t, id); v.Status.Phase != vm.Rebooting || v.Resize == nil {
		t.Fatalf("in effect without a restart: %+v", v)
	}
	h.report(t, h.says(t, id, vm.Running))
	if v = h.vm(t, id); v.Status.Phase != vm.Running || v.Resize == nil {
		t.Fatalf("in effect without a proof: %+v", v)
	}
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))
	if v = h.is(t, id, vm.Running, ""); v.Resize != nil || v.Size != want {
		t.Fatalf("not in effect: %+v", v)
	}
}

// resizeWithoutRestart is in effect once the miner says so of a guest that proves itself.
func resizeWithoutRestart(t *testing.T, h *Harness) {
	id := h.up(t)
	before := h.says(t, id, vm.Running)
	h.Resize(t, id, false)
	v := h.is(t, id, vm.Running, "")
	if v.Resize == nil || v.Resize.Restart || v.Generation != 2 {
		t.Fatalf("ordered: %+v", v)
	}
	want := v.Resize.Size
	h.report(t, h.proven(t, before))
	h.report(t, h.says(t, id, vm.Running))
	if v = h.is(t, id, vm.Running, ""); v.Resize == nil {
		t.Fatalf("in effect too early: %+v", v)
	}
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))
	if v = h.is(t, id, vm.Running, ""); v.Resize != nil || v.Size != want {
		t.Fatalf("not in effect: %+v", v)
	}
}

// resizeStopped is in effect when the VM runs again.
func resizeStopped(t *testing.T, h *Harness) {
	id := h.up(t)
	h.Order(t, id, vm.Stop)
	h.report(t, h.says(t, id, vm.Stopped))
	h.Resize(t, id, true)
	v := h.is(t, id, vm.Stopped, vm.ReasonTenant)
	if v.Resize == nil || !v.Resize.Restart {
		t.Fatalf("ordered: %+v", v)
	}
	want := v.Resize.Size
	h.report(t, h.says(t, id, vm.Stopped))
	h.Order(t, id, vm.Start)
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))
	if v = h.is(t, id, vm.Running, ""); v.Resize != nil || v.Size != want {
		t.Fatalf("not in effect: %+v", v)
	}
}

// rebuild is the next instance, on the same host and without the data.
func rebuild(t *testing.T, h *Harness) {
	id := h.up(t)
	old := h.proven(t, h.says(t, id, vm.Running))
	h.Order(t, id, vm.Rebuild)
	v := h.is(t, id, vm.Provisioning, vm.ReasonTenant)
	s := v.Status
	if s.Miner != h.Miner || s.InstanceSeq != 2 || s.RebuildInstance != 2 || s.HasData || v.Generation != 2 || !v.Spec.On {
		t.Fatalf("to be rebuilt: %+v", v)
	}
	if told := h.held(t, id); len(told.Instances) != 2 {
		t.Fatalf("told with %d instances, want those up to the present", len(told.Instances))
	}
	h.unchanged(t, "of the instance before", old)
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))
	if v = h.is(t, id, vm.Running, ""); !v.Status.HasData || v.Status.ReadyAt == 0 {
		t.Fatalf("rebuilt: %+v", v.Status)
	}

	// Without data, a failure leads elsewhere.
	h.Order(t, id, vm.Rebuild)
	h.report(t, h.says(t, id, vm.Failed))
	if v = h.vm(t, id); v.Status.Miner == h.Miner {
		t.Fatalf("failed while it was rebuilt: %+v", v.Status)
	}
}
