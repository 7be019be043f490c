package computetest

import (
	"errors"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/vm"
)

// What a miner's silence costs its tenant: a proof covers the 80 s before it, whatever happened to the agent in between;
// what is before that is not charged.
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
	charged("81 s without proofs", 285)
	w.NextBlock(10)
	w.report(w.proven(w.says(id, vm.Running)))
	charged("from the next proof on", 295)

	// Told too late it is no proof: what it says is too old to be told from what never was.
	w.NextBlock(5)
	late := w.proven(w.says(id, vm.Running))
	w.NextBlock(81)
	if _, err := w.try(w.holder(id), late); !errors.Is(err, computetypes.ErrStaleProof) {
		t.Fatalf("a proof of 81 s ago: %v", err)
	}
	w.NextBlock(600)
	back()
	charged("eleven minutes without proofs", 375)
	w.NextBlock(30)
	w.report(w.proven(w.says(id, vm.Running)))
	charged("and on", 405)
}

// What a VM is said to have been charged is what its account's meter took, also after the balance ended: what is
// attested beyond it is nobody's debt, and no charge.
func TestChargedIsWhatWasTaken(t *testing.T) {
	for _, lag := range []string{"0", "90"} {
		t.Run("settled after "+lag+" s", func(t *testing.T) {
			w := newWorld(t, map[string]string{"marketplace": `{"params":{"settle_lag_seconds":"` + lag + `"}}`})
			w.miner("miner0")
			a := w.tenant("tenant")
			id := w.running(a, "web-1")
			charged := func(what string, want uint64) {
				t.Helper()
				if got := w.vm(id).Status.Attestation.Core().Charged(); got != want || w.billed(a) != want {
					t.Fatalf("%s: %d units are shown as charged and the meter took %d; want %d", what, got, w.billed(a), want)
				}
			}
			w.NextBlock(30)
			w.report(w.proven(w.says(id, vm.Running)))
			charged("with credit", 30*spark)

			// Of the balance stays what is owed and 60 ucredit more: they pay for 24 seconds.
			w.leave(a, w.statement(a).AccruedUcredit+60)
			left := uint64(60)*credit.UnitsPerUcredit - (30*spark)%credit.UnitsPerUcredit
			w.NextBlock(40)
			w.is(id, vm.Stopping, vm.ReasonCreditRunOut)
			charged("40 s of which the balance pays some", 30*spark+left)

			// Its miner stops it and keeps its disk.
			w.NextBlock(20)
			w.report(w.says(id, vm.Stopped))
			w.NextBlock(50)
			w.report(w.says(id, vm.Stopped))
			w.NextBlock(3600)
			charged("after run-out", 30*spark+left)
			at := w.vm(id).Status.Attestation
			if at.RunningSeconds < 70 || at.StoppedSeconds < 50 {
				t.Fatalf("attested are %d s of running and %d s of its disk; the balance was to end before", at.RunningSeconds, at.StoppedSeconds)
			}

			// With credit again, what was not paid stays forgiven.
			rich := apptest.Named("miner5")
			w.report(w.says(id, vm.Stopped))
			w.MustDeliver(rich, buy(rich, a, 50))
			before := w.vm(id).Status.Attestation
			w.NextBlock(30)
			w.report(w.says(id, vm.Stopped))
			seconds := w.vm(id).Status.Attestation.StoppedSeconds - before.StoppedSeconds
			charged("bought again", 30*spark+left+seconds*sparkHD)
		})
	}
}
