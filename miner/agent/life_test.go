package agent_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/forget"
	"github.com/hippius/compute/miner/hypervisor"
)

func TestLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running and proven", func() bool { return w.runs(id) })
	if !w.chain.Saw(id, "provisioning ") {
		t.Error("provisioning was not announced")
	}
	proofs := w.chain.Proven(id)
	w.until("further proofs", func() bool { return w.chain.Proven(id) >= proofs+3 })

	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	if s := w.inspect(id); s.State != hypervisor.StateStopped || s.StopReason != hypervisor.StopGuest {
		t.Errorf("VM is %s (%s), want a clean stop", s.State, s.StopReason)
	}
	w.wantNone("stopped", w.runtime(id))

	w.order(id, vm.Start)
	w.until("running again", func() bool { return w.runs(id) })
	pid := w.inspect(id).PID
	w.order(id, vm.Reboot)
	w.until("rebooted", func() bool {
		s := w.chain.Get(id).Status
		return s.ObservedRebootSeq == 1 && s.Phase == vm.Running
	})
	if got := w.inspect(id).PID; got != pid {
		t.Errorf("process %d became %d: that was no reboot", pid, got)
	}

	w.order(id, vm.Terminate)
	w.untilPhase(id, vm.Terminated)
	w.wantNone("terminated", w.leftovers(id))
}

// A restart of the agent is nothing to a VM.
func TestAdoption(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	pid, asked := w.inspect(id).PID, w.keepers.asked
	for range 2 {
		w.stopAgent()
		if err := w.driver.Close(); err != nil {
			t.Fatal(err)
		}
		w.openDriver()
		proofs := w.chain.Proven(id)
		w.startAgent()
		w.until("proofs go on", func() bool { return w.chain.Proven(id) > proofs+1 })
	}
	if got := w.inspect(id); got.PID != pid || got.State != hypervisor.StateRunning {
		t.Errorf("VM %+v, want process %d untouched", got, pid)
	}
	if w.keepers.asked != asked {
		t.Error("adopting a running VM took its secrets again")
	}
	// What needs secrets fetches them again: they were in memory only.
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	w.order(id, vm.Start)
	w.until("running", func() bool { return w.runs(id) })
	if w.keepers.asked == asked {
		t.Error("secrets outlived the agent")
	}
}

func TestProcessDied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	pid := w.inspect(id).PID
	w.stopAgent() // it dies while nobody looks, and secrets are gone
	if err := w.driver.KillProcess(id); err != nil {
		t.Fatal(err)
	}
	w.startAgent()
	w.until("told", func() bool { return w.chain.Saw(id, "provisioning host_process_died") })
	w.until("running again", func() bool { return w.runs(id) && w.inspect(id).PID != pid })

	pid = w.inspect(id).PID
	if err := w.driver.KillProcess(id); err != nil {
		t.Fatal(err)
	}
	w.until("running again", func() bool { return w.runs(id) && w.inspect(id).PID != pid })
}

func TestGuestShutsItselfDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	if err := w.driver.PowerOff(id); err != nil {
		t.Fatal(err)
	}
	w.untilPhase(id, vm.Stopped)
	if s := w.chain.Get(id).Status; s.Reason != vm.ReasonGuestShutdown {
		t.Errorf("reason %q, want %q", s.Reason, vm.ReasonGuestShutdown)
	}
	w.wantNone("shut down from inside", w.runtime(id))
	w.heard(id)
	if s := w.inspect(id).State; s != hypervisor.StateStopped {
		t.Errorf("it was started although its guest had shut it down: %s", s)
	}
	w.order(id, vm.Start)
	w.until("running", func() bool { return w.runs(id) })
}

// Guests that do not power off when asked keep no other VM from being worked on.
func TestDeafGuestsHoldNoWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Workers, w.config.StopTimeout = 2, 5*time.Minute
	w.startAgent()
	var deaf []vm.ID
	for range 4 {
		id := w.newVM()
		w.until("running", func() bool { return w.runs(id) })
		w.driver.SetIgnoreACPI(id, true)
		deaf = append(deaf, id)
	}
	for i, id := range deaf {
		w.order(id, []vm.Event{vm.Stop, vm.Reboot}[i%2])
	}
	w.until("all are asked", func() bool {
		shut := 0
		w.witness.note(func() { shut = w.witness.shutdowns[deaf[0]] + w.witness.shutdowns[deaf[2]] })
		return shut >= 2
	})
	other := w.newVM()
	w.until("another runs", func() bool { return w.runs(other) })
	for i, id := range deaf {
		if p, want := w.chain.Phase(id), []vm.Phase{vm.Stopping, vm.Rebooting}[i%2]; p != want {
			t.Errorf("VM %d is %s, want %s", i, p, want)
		}
		w.driver.SetIgnoreACPI(id, false)
	}
	w.untilPhase(deaf[0], vm.Stopped)
	w.untilPhase(deaf[1], vm.Running)
}

// A guest that hears nothing is cut off, and its tenant is told.
func TestDeafGuest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.driver.SetIgnoreACPI(id, true)
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	s := w.chain.Get(id).Status
	if s.Reason != vm.ReasonForced || s.Message == "" {
		t.Errorf("reason %q: %q, want %q", s.Reason, s.Message, vm.ReasonForced)
	}
	// The next stop is a clean one, and the tenant's again.
	w.driver.SetIgnoreACPI(id, false)
	w.order(id, vm.Start)
	w.until("running", func() bool { return w.runs(id) })
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	if s := w.chain.Get(id).Status; s.Reason == vm.ReasonForced {
		t.Errorf("reason %q after a clean stop", s.Reason)
	}
}

func TestMovedAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	// One endpoint that disagrees is enough to keep it.
	w.chain.Dissent(id)
	w.chain.Move(id)
	w.confirmed(id)
	if s := w.inspect(id).State; s != hypervisor.StateRunning {
		t.Fatalf("destroyed because of one endpoint: %s", s)
	}
	w.chain.Agree(id)
	w.until("let go", func() bool { return len(w.leftovers(id)) == 0 })
	if err := w.driver.RestoreDisk(t.Context(), hypervisor.Root(id)); err != nil {
		t.Errorf("its disk is not in the trash: %v", err)
	}
}

// What was missed while the agent was away shows in the full listing.
func TestGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	kept, gone := w.newVM(), w.newVM()
	w.until("both running", func() bool { return w.runs(kept) && w.runs(gone) })
	w.stopAgent()
	w.chain.Move(gone)
	w.chain.ForgetReleases()
	w.startAgent()
	w.until("let go", func() bool { return w.inspect(gone).State == hypervisor.StateAbsent })
	if !w.runs(kept) {
		t.Error("the other one is gone, too")
	}
}

func TestUnknownVMs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger, ended := vm.ID("00112233445566778899aabbccddeeff"), w.newVM()
	for _, id := range []vm.ID{stranger, ended} {
		m := hypervisor.Definition{
			ID: id, InstanceSeq: 1, VCPUs: 1, MemoryMiB: 64, DiskBytes: 1 << 20, BaseImage: "/x", BaseFormat: "raw",
			DiskKey: make([]byte, hypervisor.DiskKeyBytes),
		}
		w.deafMute.Store(true)
		if err := errors.Join(w.driver.Define(t.Context(), m), w.driver.CreateDisk(t.Context(), m.Root()), w.driver.Start(t.Context(), id, m.DiskKey)); err != nil {
			t.Fatal(err)
		}
	}
	w.chain.Change(ended, func(v *vm.VM) { // ended by a miner that forgot it
		v.Status.Miner, v.Status.Phase = "", vm.Terminated
	})
	w.startAgent()
	w.until("the ended one is removed", func() bool { return len(w.leftovers(ended)) == 0 })
	w.confirmed(stranger)
	if s := w.inspect(stranger).State; s != hypervisor.StateRunning {
		t.Errorf("a VM the chain knows nothing of became %s", s)
	}
	w.forget(stranger)
}

// forget orders that a VM be forgotten, and waits until it is.
func (w *world) forget(id vm.ID) {
	w.t.Helper()
	if err := w.orders.Give(id); err != nil {
		w.t.Fatal(err)
	}
	w.until("the order is carried out", func() bool {
		answered, err := w.orders.Answer(id)
		if err != nil {
			w.t.Fatal(err)
		}
		return answered
	})
	w.wantNone("forgotten", w.leftovers(id))
	if n := w.trashed(id); n != 1 {
		w.t.Errorf("%d disks of a forgotten VM are in the trash", n)
	}
}

// TestForgottenByTheChain: the chain has forgotten a VM that ended while the agent was away. It runs on until the operator
// orders otherwise; one that the chain knows is not removed by an order.
func TestForgottenByTheChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	gone, held := w.newVM(), w.newVM()
	w.until("running", func() bool { return w.runs(gone) && w.runs(held) })
	w.stopAgent()
	w.chain.Prune(gone)
	w.startAgent()
	w.confirmed(gone)
	if !w.inspect(gone).State.Alive() {
		t.Error("a VM of which the chain knows nothing was removed")
	}
	w.forget(gone)

	if err := w.orders.Give(held); err != nil {
		t.Fatal(err)
	}
	w.until("the order is refused", func() bool {
		answered, err := w.orders.Answer(held)
		if answered && !errors.Is(err, forget.ErrRefused) {
			t.Fatalf("the order was answered with %v", err)
		}
		return answered
	})
	if !w.runs(held) {
		t.Error("an order ended a VM that this miner holds")
	}
	// Of what is not here there is nothing to forget.
	nothing := vm.ID("ffeeddccbbaa99887766554433221100")
	if err := w.orders.Give(nothing); err != nil {
		t.Fatal(err)
	}
	w.until("the order is answered", func() bool { return !w.orders.Given(nothing) })
}

// Nobody waits for a shutdown that is not wanted any more.
func TestTerminateDuringShutdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.StopTimeout = time.Hour
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.driver.SetIgnoreACPI(id, true)
	w.order(id, vm.Stop)
	w.until("it is asked to shut down", func() (asked bool) {
		w.witness.note(func() { asked = w.witness.shutdowns[id] > 0 })
		return asked
	})
	w.order(id, vm.Terminate)
	w.untilPhase(id, vm.Terminated)
	w.wantNone("terminated", w.leftovers(id))
}

func TestChainAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	pid := w.inspect(id).PID
	w.chain.SetAway(errors.New("no chain node answers"))
	w.more("questions to the chain", 5, w.chain.Asked)
	w.looked(id, 2)
	if got := w.inspect(id); got.PID != pid || got.State != hypervisor.StateRunning {
		t.Errorf("a silent chain ended a VM: %+v", got)
	}
	proofs := w.chain.Proven(id)
	w.chain.SetAway(nil)
	w.until("proofs go on", func() bool { return w.chain.Proven(id) > proofs })
}

func TestMeshIsRelayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mesh.set(wire.Mesh{Blocklist: []string{"a"}})
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.mesh.set(wire.Mesh{Blocklist: []string{"a", "b"}})
	w.until("told", func() bool {
		select {
		case m := <-w.told:
			return len(m.Blocklist) == 2
		default:
			return false
		}
	})
}

func TestSignOfLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	w.until("empty batches", func() bool {
		b := w.chain.Batches()
		return len(b) >= 3 && b[0] == 0
	})
}

// A hypervisor changes what it opens: the network is made right once more when
// the VM runs, at its first start and at every other. What is lost of it later is back soon.
func TestNetworkVerifiedWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Resync = time.Hour // only what happens has the VM looked at
	var running atomic.Int32
	w.network.before = func(id vm.ID) {
		if w.inspect(id).State == hypervisor.StateRunning {
			running.Add(1)
		}
	}
	w.startAgent()
	id := w.newVM()
	w.until("up", func() bool { return w.runs(id) })
	if running.Load() == 0 {
		t.Error("not attached once it ran")
	}
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	running.Store(0)
	w.order(id, vm.Start)
	w.until("up again", func() bool { return w.runs(id) })
	if running.Load() == 0 {
		t.Error("not attached once it ran, after the second start")
	}

	w.stopAgent()
	w.config.Resync = 50 * time.Millisecond
	w.startAgent()
	for range 2 { // not only when it is adopted
		if err := w.network.Detach(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		w.until("the tap is back", func() bool { return w.network.has(id) })
	}
	if info := w.inspect(id); info.State != hypervisor.StateRunning {
		t.Errorf("the VM is %s", info.State)
	}
}
