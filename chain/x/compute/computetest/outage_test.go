package computetest

import (
	"errors"
	"testing"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// What a miner's silence costs its tenant: nothing for what was not proven. Proofs 80 s apart are charged without a
// gap, whatever happened to the agent in between; of more, not a second is charged from the last proof to the next.
func TestOutageInTheBill(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	charged := func(what string, seconds uint64) {
		t.Helper()
		if got := w.billed(a); got != seconds*spark {
			t.Fatalf("%s: billed %d, want %d seconds at %d", what, got, seconds, spark)
		}
		if got := w.vm(id).Status.Attestation.RunningSeconds; got != seconds {
			t.Fatalf("%s: %d seconds attested, want %d", what, got, seconds)
		}
	}
	// back is an agent's first words: that the VM runs, and then the guest's proof.
	back := func() {
		t.Helper()
		w.report(w.says(id, vm.Running))
		w.report(w.proven(w.says(id, vm.Running)))
	}

	w.NextBlock(30)
	w.report(w.proven(w.says(id, vm.Running)))
	charged("proofs as usual", 30)

	w.NextBlock(80)
	w.report(w.says(id, vm.Running))
	charged("back, but the guest not heard yet", 30)
	w.report(w.proven(w.says(id, vm.Running)))
	charged("80 s without proofs", 110)

	// The last proof before the agent was killed is told by the next agent. It counts as of its block, and bridges what
	// would have been 95 seconds.
	w.NextBlock(20)
	last := w.proven(w.says(id, vm.Running))
	w.NextBlock(65)
	w.report(last)
	charged("the last proof before the outage", 130)
	w.NextBlock(10)
	w.report(w.proven(w.says(id, vm.Running)))
	charged("and the next after it", 205)

	w.NextBlock(81)
	back()
	charged("81 s without proofs", 205)
	w.NextBlock(10)
	w.report(w.proven(w.says(id, vm.Running)))
	charged("from the next proof on", 215)

	// Told too late it is no proof: what it says is too old to be told from what never was.
	w.NextBlock(5)
	late := w.proven(w.says(id, vm.Running))
	w.NextBlock(81)
	if _, err := w.try(w.holder(id), late); !errors.Is(err, computetypes.ErrStaleProof) {
		t.Fatalf("a proof of 81 s ago: %v", err)
	}
	w.NextBlock(600)
	back()
	charged("eleven minutes without proofs", 215)
	w.NextBlock(30)
	w.report(w.proven(w.says(id, vm.Running)))
	charged("and on", 245)
}
