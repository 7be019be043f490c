package computetest

import (
	"testing"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// An hour is an hour of proofs: two of them, with a gap in between, show nothing, and the hour begins anew after the gap.
func TestTwoProofsAreNoHour(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	id := w.running(w.tenant("tenant"), "web-1")
	for range 3 {
		w.alive(3700, 60, m)
		w.report(w.proven(w.says(id, vm.Running)))
	}
	if r := w.registered(m).Record; r.Proven != 0 || r.Trials != 1 {
		t.Fatalf("four proofs in three hours: %+v", r)
	}
	from, proven := w.Now(), int64(0)
	for w.Now() < from+3700 && proven == 0 {
		w.NextBlock(60)
		w.report(w.proven(w.says(id, vm.Running)))
		if w.registered(m).Record.Proven == 1 {
			proven = w.Now() - from
		}
	}
	if r := w.registered(m).Record; proven < 3500 || proven > 3680 || r.Trials != 0 {
		t.Fatalf("counted after %d s: %+v", proven, r)
	}
}

// So it is with what hosts say: neither a VM without an agent nor one that fell silent is off trial by two reports.
func TestTwoReportsAreNoHour(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	none := w.create(a, "web-1", func(c *computetypes.MsgCreateVM) { c.Spec.Agent = computetypes.AgentMode_AGENT_MODE_NONE })
	w.report(w.says(none, vm.Provisioning))
	w.report(w.says(none, vm.Running))
	silent := w.running(a, "web-2", func(c *computetypes.MsgCreateVM) { c.Spec.OnSilence = computetypes.OnSilence_ON_SILENCE_CHARGE })
	w.alive(3700, 60, m)
	w.report(w.says(none, vm.Running))
	for from := w.Now(); w.Now() < from+660; w.NextBlock(30) {
		w.report(w.says(silent, vm.Running))
	}
	if n := w.registered(m).Record.Trials; n != 2 {
		t.Fatalf("%d are on trial", n)
	}
	for from := w.Now(); w.Now() < from+3700; w.NextBlock(60) {
		w.report(w.says(none, vm.Running), w.says(silent, vm.Running))
	}
	if r := w.registered(m).Record; r.Trials != 0 || r.Proven != 0 {
		t.Fatalf("after an hour of reports %+v", r)
	}
}
