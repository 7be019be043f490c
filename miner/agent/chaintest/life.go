package chaintest

import (
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
)

// life takes a VM from its assignment to its end, and looks at what each report leaves.
func life(t *testing.T, h *Harness) {
	id := h.Create(t, vm.AgentGuest)
	v := h.held(t, id)
	s := v.Status
	if s.Phase != vm.Assigned || s.Miner != h.Miner || s.InstanceSeq != 1 || v.Generation != 1 || !v.Spec.On || s.HasData {
		t.Fatalf("a VM that was assigned is %+v", v)
	}
	if len(v.Instances) != 1 || len(v.AuthorizedKeys) == 0 {
		t.Fatalf("told with %d instances and %d keys; want the present instance and the keys that open it", len(v.Instances), len(v.AuthorizedKeys))
	}

	begin := h.says(t, id, vm.Provisioning)
	begin.Reason, begin.Message = "fetching_image", "the image is fetched"
	h.report(t, begin)
	if v = h.is(t, id, vm.Provisioning, "fetching_image"); v.Status.Message != begin.Message || v.Status.ObservedGeneration != 1 {
		t.Fatalf("after the first report %+v", v.Status)
	}
	h.report(t, h.says(t, id, vm.Running))
	if v = h.is(t, id, vm.Running, ""); v.Status.HasData || v.Status.ReadyAt != 0 || v.Status.Message != "" {
		t.Fatalf("on, and without a proof: %+v", v.Status)
	}
	before := h.changes(t, 0).Head
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))
	after := h.changes(t, 0).Head
	first := h.vm(t, id).Status.Attestation
	if at := h.vm(t, id).Status.ReadyAt; at != first.LastAt || !between(first, before, after) || first.RunningSeconds != 0 {
		t.Fatalf("the first proof is of a block from %d to %d; ready at %d, %+v", before.Height, after.Height, at, first)
	}
	h.Pass(t, 30*time.Second)
	before = h.changes(t, 0).Head
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))
	after = h.changes(t, 0).Head
	second := h.vm(t, id).Status.Attestation
	if attested := second.LastAt - first.LastAt; !between(second, before, after) || second.RunningSeconds != uint64(attested) || attested < 29 { //nolint:gosec // it passed
		t.Fatalf("attested are %d s, by a proof of a block from %d to %d; %+v", attested, before.Height, after.Height, second)
	}

	h.Order(t, id, vm.Stop)
	if v = h.is(t, id, vm.Stopping, vm.ReasonTenant); v.Generation != 2 || v.Spec.On || v.Status.ObservedGeneration != 1 {
		t.Fatalf("to be stopped: %+v", v)
	}
	h.report(t, h.says(t, id, vm.Stopping))
	h.report(t, h.says(t, id, vm.Stopped)) // for the reason that is known
	if v = h.is(t, id, vm.Stopped, vm.ReasonTenant); v.Generation != 2 || v.Status.ReadyAt != 0 || v.Status.ObservedGeneration != 2 || !v.Status.HasData {
		t.Fatalf("stopped: %+v", v)
	}
	h.Order(t, id, vm.Start)
	if v = h.is(t, id, vm.Provisioning, vm.ReasonTenant); v.Generation != 3 || !v.Spec.On || v.Status.InstanceSeq != 1 {
		t.Fatalf("started again: %+v", v)
	}
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))

	h.Order(t, id, vm.Terminate)
	h.is(t, id, vm.Terminating, vm.ReasonTenant)
	why := h.says(t, id, vm.Failed)
	why.Reason = "disk_busy"
	h.report(t, why)
	if v = h.is(t, id, vm.Terminating, "disk_busy"); v.Status.Miner != h.Miner {
		t.Fatalf("a miner that says why it cannot end the VM yet has lost it: %+v", v.Status)
	}
	h.report(t, h.says(t, id, vm.Terminated))
	if v = h.is(t, id, vm.Terminated, ""); v.Status.Miner != "" {
		t.Fatalf("terminated: %+v", v)
	}
}

// hostsWord is all there is of a VM without an agent.
func hostsWord(t *testing.T, h *Harness) {
	id := h.Create(t, vm.AgentNone)
	h.report(t, h.says(t, id, vm.Provisioning))
	h.report(t, h.says(t, id, vm.Running))
	if at := h.is(t, id, vm.Running, "").Status.ReadyAt; at == 0 {
		t.Fatal("not ready on its host's word")
	}
	h.Pass(t, 20*time.Second)
	h.report(t, h.says(t, id, vm.Running))
	if s := h.vm(t, id).Status.Attestation.RunningSeconds; s < 19 {
		t.Fatalf("%d s are attested", s)
	}
}

// guestShutdown: what its guest powered off stays off, as if the tenant had asked for that.
func guestShutdown(t *testing.T, h *Harness) {
	for _, c := range []struct{ said, reason string }{{"", vm.ReasonGuestShutdown}, {"guest_panicked", "guest_panicked"}} {
		id := h.up(t)
		at := h.changes(t, 0).Height
		off := h.says(t, id, vm.Stopped)
		off.Reason = c.said
		h.report(t, off)
		v := h.is(t, id, vm.Stopped, c.reason)
		if v.Spec.On || v.Generation != 2 || v.Status.ObservedGeneration != 1 {
			t.Fatalf("shut down from inside: %+v", v)
		}
		if got := h.changes(t, at).VMs; len(got) != 1 || got[0].Generation != 2 {
			t.Fatalf("told to who follows: %+v", got)
		}
		// Told once more as the miner knows it, it is what was known.
		h.report(t, h.says(t, id, vm.Stopped))
		if v = h.vm(t, id); v.Status.Phase != vm.Stopped || v.Generation != 2 {
			t.Fatalf("told again: %+v", v)
		}
	}
}

// failed: a VM stays where its data is, and leaves a miner that has none of it.
func failed(t *testing.T, h *Harness) {
	kept, gone := h.up(t), h.Create(t, vm.AgentGuest)
	r := h.says(t, kept, vm.Failed)
	r.Reason, r.Message = "disk_missing", "the disk is gone"
	h.report(t, r)
	if v := h.is(t, kept, vm.Failed, "disk_missing"); v.Status.Miner != h.Miner || v.Status.Message != r.Message {
		t.Fatalf("failed with data: %+v", v.Status)
	}
	h.Order(t, kept, vm.Start)
	h.is(t, kept, vm.Provisioning, vm.ReasonTenant)

	h.report(t, h.says(t, gone, vm.Provisioning))
	r = h.says(t, gone, vm.Failed)
	r.Reason = "no_room"
	h.report(t, r)
	if v := h.vm(t, gone); v.Status.Miner == h.Miner || v.Status.Phase == vm.Failed {
		t.Fatalf("failed without data, and it is not placed anew: %+v", v.Status)
	}
}

// between reports whether the last proof is of a block from one head to another: blocks are made while a test looks.
func between(a vm.Attestation, first, last vm.Head) bool {
	return a.ProofHeight >= first.Height && a.ProofHeight <= last.Height && a.LastAt >= first.Time && a.LastAt <= last.Time
}
