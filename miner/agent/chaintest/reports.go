package chaintest

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
)

// unchanged sends a report that has to be refused, and sees that it leaves no trace.
func (h *Harness) unchanged(t *testing.T, what string, r vm.Report) {
	t.Helper()
	before := h.everything(t)
	results, err := h.reports(t.Context(), r)
	if err != nil || len(results) != 1 || results[0].Code == 0 || results[0].Message == "" {
		t.Errorf("%s: %+v, %v; want it refused", what, results, err)
	}
	if after := h.everything(t); !reflect.DeepEqual(before, after) {
		t.Errorf("%s: refused, and what was\n%+v is\n%+v", what, before, after)
	}
}

// refused is what no report may say.
func refused(t *testing.T, h *Harness) {
	id, left := h.up(t), h.up(t)
	h.Order(t, left, vm.Terminate)
	h.report(t, h.says(t, left, vm.Terminated))
	for what, change := range map[string]func(r *vm.Report){
		"of a VM that nobody knows":         func(r *vm.Report) { r.ID = vm.ID(strings.Repeat("ab", 16)) },
		"without an id":                     func(r *vm.Report) { r.ID = "" },
		"of a VM that left":                 func(r *vm.Report) { r.ID = left },
		"of a later instance":               func(r *vm.Report) { r.InstanceSeq++ },
		"of an earlier instance":            func(r *vm.Report) { r.InstanceSeq-- },
		"of a generation to come":           func(r *vm.Report) { r.ObservedGeneration++ },
		"of a size to come":                 func(r *vm.Report) { r.SizeGeneration++ },
		"of a reboot to come":               func(r *vm.Report) { r.ObservedRebootSeq++ },
		"of a phase that is not a miner's":  func(r *vm.Report) { r.Phase = vm.Lost },
		"of no phase":                       func(r *vm.Report) { r.Phase = 0 },
		"stopping what is to run":           func(r *vm.Report) { r.Phase = vm.Stopping },
		"rebooting what is to run":          func(r *vm.Report) { r.Phase = vm.Rebooting },
		"ending what is to run":             func(r *vm.Report) { r.Phase = vm.Terminated },
		"with a reason that is no code":     func(r *vm.Report) { r.Reason = "no code" },
		"with a reason that is the chain's": func(r *vm.Report) { r.Reason = vm.ReasonGuestSilent },
		"that credit ran out":               func(r *vm.Report) { r.Reason = vm.ReasonCreditRunOut },
		"with a long reason":                func(r *vm.Report) { r.Reason = strings.Repeat("a", vm.MaxReasonLen+1) },
		"with a long message":               func(r *vm.Report) { r.Message = strings.Repeat("a", vm.MaxMessageLen+1) },
		"with a message of several lines":   func(r *vm.Report) { r.Message = "one\ntwo" },
		"with a proof of no block":          func(r *vm.Report) { r.Proof.Height = 0 },
		"with half a signature":             func(r *vm.Report) { r.Proof.Signature = r.Proof.Signature[:32] },
		"with a proof of a block to come":   func(r *vm.Report) { r.Proof.Height += 1000 },
		"with another block's signature":    func(r *vm.Report) { r.Proof.Height-- },
		"with a proof that is no signature": func(r *vm.Report) { r.Proof.Signature = make([]byte, 64) },
		"with another instance's proof":     func(r *vm.Report) { r.Proof = h.proof(id, 2, h.changes(t, 0).Head) },
		"with another VM's proof":           func(r *vm.Report) { r.Proof = h.proof(left, 1, h.changes(t, 0).Head) },
	} {
		h.Pass(t, 2*time.Second) // so that a block below the newest is one that may be proven
		r := h.proven(t, h.says(t, id, vm.Running))
		r.Reason = "would_be_seen"
		change(&r)
		h.unchanged(t, what, r)
	}
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))

	h.Order(t, id, vm.Stop)
	h.unchanged(t, "running what is to stop", h.proven(t, h.says(t, id, vm.Running)))
	h.unchanged(t, "provisioning what is to stop", h.says(t, id, vm.Provisioning))
	h.Order(t, id, vm.Terminate)
	h.unchanged(t, "stopped what is to end", h.says(t, id, vm.Stopped))
}

// batch: each report is judged by itself, and answered in its place.
func batch(t *testing.T, h *Harness) {
	one, two := h.up(t), h.up(t)
	good, bad := h.says(t, one, vm.Running), h.says(t, two, vm.Terminated)
	good.Reason = "hypervisor_down"
	again := good
	again.Reason = ""
	results, err := h.reports(t.Context(), bad, good, again, bad)
	if err != nil || len(results) != 4 {
		t.Fatalf("%+v, %v", results, err)
	}
	for i, want := range []struct {
		id    vm.ID
		taken bool
	}{{two, false}, {one, true}, {one, true}, {two, false}} {
		if r := results[i]; r.ID != want.id || (r.Code == 0) != want.taken || (r.Message == "") != want.taken {
			t.Errorf("answer %d is %+v", i, r)
		}
	}
	h.is(t, one, vm.Running, "")
	if results, err = h.reports(t.Context()); err != nil || len(results) != 0 {
		t.Errorf("an empty batch: %+v, %v", results, err)
	}
	many := make([]vm.Report, vm.MaxReports+1)
	for i := range many {
		many[i] = good
	}
	if results, err = h.reports(t.Context(), bad, bad); err != nil || len(results) != 2 || results[0].Code == 0 || results[1].Code == 0 {
		t.Errorf("a batch of which nothing counts: %+v, %v", results, err)
	}
	// It is in no block: what it says may be told again.
	if _, err := h.reports(t.Context(), many...); err == nil {
		t.Error("too large a batch is taken")
	}
	if _, err := h.reports(t.Context(), many[1:]...); err != nil {
		t.Errorf("as large a batch as may be: %v", err)
	}
}

// proofs count once, for a while, and not before those that did.
func proofs(t *testing.T, h *Harness) {
	id := h.up(t)
	h.Pass(t, 10*time.Second)
	r, old := h.says(t, id, vm.Running), h.changes(t, 0).Head
	r.Proof = h.proof(id, 1, old)
	h.Pass(t, 10*time.Second)
	newer := h.proven(t, r)
	h.report(t, newer)
	h.unchanged(t, "with a proof that counted", newer)
	h.unchanged(t, "with a proof from before one that counted", r)

	r.Proof = h.proof(id, 1, h.changes(t, 0).Head)
	h.Pass(t, 75*time.Second)
	h.report(t, r)
	h.Pass(t, 10*time.Second)
	r.Proof = h.proof(id, 1, h.changes(t, 0).Head)
	h.Pass(t, 90*time.Second)
	h.unchanged(t, "with a proof that is too old", r)
	// A proof attests the 80 s before it; the rest of the time nobody saw.
	before := h.vm(t, id).Status.Attestation.RunningSeconds
	h.report(t, h.proven(t, r))
	if s := h.vm(t, id).Status.Attestation.RunningSeconds; s != before+80 {
		t.Errorf("%d s were attested after a gap", s-before)
	}
}

// proofsOfEarlierRuns show nothing of the present one.
func proofsOfEarlierRuns(t *testing.T, h *Harness) {
	id := h.up(t)
	h.Pass(t, 10*time.Second)
	early := h.changes(t, 0).Head
	h.report(t, h.says(t, id, vm.Provisioning)) // it died, and is started again
	h.Pass(t, 5*time.Second)
	r := h.says(t, id, vm.Running)
	r.Proof = h.proof(id, 1, early)
	h.unchanged(t, "with a proof of the run before", r)
	h.report(t, h.proven(t, r))

	h.Pass(t, 5*time.Second)
	early = h.changes(t, 0).Head
	h.Order(t, id, vm.Stop)
	h.report(t, h.says(t, id, vm.Stopped))
	h.Order(t, id, vm.Start)
	h.Pass(t, 5*time.Second)
	r = h.says(t, id, vm.Running)
	r.Proof = h.proof(id, 1, early)
	h.unchanged(t, "with a proof from before it was stopped", r)
	h.report(t, h.proven(t, r))

	h.Pass(t, 5*time.Second)
	early = h.changes(t, 0).Head
	h.Order(t, id, vm.Reboot)
	h.Pass(t, 5*time.Second)
	r = h.says(t, id, vm.Running)
	r.Proof = h.proof(id, 1, early)
	h.report(t, r) // a guest that is rebooted is the same run
}

// overtaken reports were true of a generation that is not the present one.
func overtaken(t *testing.T, h *Harness) {
	id := h.up(t)
	h.Order(t, id, vm.Stop)
	stopped, failed := h.says(t, id, vm.Stopped), h.says(t, id, vm.Failed)
	failed.Reason = vm.ReasonDiskMissing
	h.report(t, stopped)
	h.Order(t, id, vm.Start)
	// It was off before the tenant wanted it on: that is no shutdown from inside, no failure of the start, and no fault either.
	before := h.vm(t, id)
	for _, r := range []vm.Report{stopped, failed} {
		h.report(t, r)
		if v := h.vm(t, id); !reflect.DeepEqual(v, before) {
			t.Fatalf("a report from before the start, %s, made\n%+v of\n%+v", r.Phase, v, before)
		}
	}
	old := h.says(t, id, vm.Provisioning)
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))

	// The process died before the reboot was seen.
	h.Order(t, id, vm.Reboot)
	h.report(t, old)
	if v := h.is(t, id, vm.Provisioning, ""); v.Status.ObservedGeneration != old.ObservedGeneration || v.Status.ObservedRebootSeq != 0 {
		t.Fatalf("seen are generation %d and reboot %d", v.Status.ObservedGeneration, v.Status.ObservedRebootSeq)
	}
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))
	h.report(t, old)
	if v := h.vm(t, id); v.Status.ObservedGeneration != v.Generation || v.Status.ObservedRebootSeq != 1 {
		t.Fatalf("what was seen is forgotten: generation %d of %d, reboot %d", v.Status.ObservedGeneration, v.Generation, v.Status.ObservedRebootSeq)
	}
}
