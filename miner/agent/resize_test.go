package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/hypervisor"
)

// sizes that a VM is given after its first.
func (w *world) size(vcpus uint32, memoryMiB, diskGiB uint64) plan.Size {
	w.t.Helper()
	s := w.chain.Size
	s.VCPUs, s.MemoryMiB, s.DiskGiB = vcpus, memoryMiB, diskGiB
	return s
}

func (w *world) resize(id vm.ID, to plan.Size, restart bool) {
	w.t.Helper()
	if err := w.chain.Resize(id, to, restart); err != nil {
		w.t.Fatal(err)
	}
}

// has tells whether the VM runs in a size, and the chain has taken that.
func (w *world) has(id vm.ID, s plan.Size) bool {
	w.t.Helper()
	v := w.chain.Get(id)
	if !w.runs(id) || v.Resize != nil || v.Size != s {
		return false
	}
	disk, err := w.driver.DiskBytes(id)
	if err != nil {
		w.t.Fatal(err)
	}
	stats, err := w.driver.Stats(w.t.Context(), id)
	return err == nil && disk == s.DiskGiB<<30 && stats.MemoryBytes == s.MemoryMiB<<20
}

func TestResize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	pid := w.inspect(id).PID

	// The disk alone grows as it runs, without asking the keepers for its key.
	asked := w.keepers.asked
	disk := w.size(1, 2048, 30)
	w.resize(id, disk, false)
	w.until("a larger disk", func() bool { return w.has(id, disk) })
	if got := w.inspect(id).PID; got != pid || w.keepers.asked != asked {
		t.Errorf("process %d became %d, the keepers were asked %d times more", pid, got, w.keepers.asked-asked)
	}

	// CPU and memory take one restart, a clean one.
	larger := w.size(2, 4096, 40)
	w.resize(id, larger, true)
	w.until("a larger VM", func() bool { return w.has(id, larger) })
	if got := w.inspect(id).PID; got == pid {
		t.Error("more memory without a restart")
	}
	if w.chain.Saw(id, "provisioning "+vm.ReasonHostProcessDied) || w.chain.Saw(id, "stopped "+vm.ReasonGuestShutdown) {
		t.Error("the restart was taken for something else")
	}
	pid = w.inspect(id).PID
	proofs := w.chain.Proven(id)
	w.until("further proofs", func() bool { return w.chain.Proven(id) >= proofs+3 })
	if got := w.inspect(id).PID; got != pid {
		t.Error("it was restarted again")
	}

	// What is off takes its size with its next start.
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	smaller := w.size(1, 1024, 50)
	w.resize(id, smaller, false)
	w.heard(id)
	if s := w.inspect(id).State; s.Alive() || w.chain.Get(id).Resize == nil {
		t.Errorf("a stopped VM is %s", s)
	}
	w.order(id, vm.Start)
	w.until("a smaller VM", func() bool { return w.has(id, smaller) })
}

// The hypervisor knows what a VM was started with, also where the agent's
// own note of it was lost: it is not restarted once more.
func TestResizeIsNotDoneTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	starts := &counted{}
	w.parts = func(p *agent.Parts) { starts.Driver = p.Driver; p.Driver = starts }
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	starts.fail(1)
	larger := w.size(2, 4096, 40)
	w.resize(id, larger, true)
	w.until("a larger VM", func() bool { return w.has(id, larger) })
	w.stopAgent()
	w.startAgent()
	proofs := w.chain.Proven(id)
	w.until("proofs go on", func() bool { return w.chain.Proven(id) > proofs+2 })
	if n := starts.count(); n != 2 {
		t.Errorf("%d starts for one boot and one resize", n)
	}
}

// counted counts starts, and lets some seem to fail that did not.
type counted struct {
	hypervisor.Driver

	mu       sync.Mutex
	n, wrong int
}

func (c *counted) Start(ctx context.Context, id vm.ID, key hypervisor.DiskKey) error {
	if err := c.Driver.Start(ctx, id, key); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.wrong > 0 {
		c.wrong--
		return errInjected
	}
	return nil
}

func (c *counted) fail(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = n
}

func (c *counted) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func TestRebuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.order(id, vm.Rebuild)
	w.until("running as the next instance", func() bool { return w.runs(id) && w.inspect(id).InstanceSeq == 2 })
	// The old disk is in the trash, and the new one opens with the new instance's key.
	if err := w.driver.RestoreDisk(t.Context(), hypervisor.Root(id)); err == nil {
		t.Error("there is no new disk")
	}
	if n, err := hypervisor.Sweep(t.Context(), w.driver, time.Now().Add(time.Minute)); err != nil || n != 1 {
		t.Errorf("%d disks in the trash, %v", n, err)
	}
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	w.order(id, vm.Start)
	w.until("running again", func() bool { return w.runs(id) })

	// A guest that hangs is not waited for, and what is off is rebuilt too.
	w.driver.SetIgnoreACPI(id, true)
	w.order(id, vm.Reboot)
	w.order(id, vm.Rebuild)
	w.until("running as the third", func() bool { return w.runs(id) && w.inspect(id).InstanceSeq == 3 })
	w.driver.SetIgnoreACPI(id, false)
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	w.order(id, vm.Rebuild)
	w.until("running as the fourth", func() bool { return w.runs(id) && w.inspect(id).InstanceSeq == 4 })
	w.order(id, vm.Terminate)
	w.untilPhase(id, vm.Terminated)
	w.wantNone("terminated", w.leftovers(id))
}

// One endpoint that disagrees is enough to keep what is on the disk.
func TestRebuildNeedsEveryEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.chain.Dissent(id)
	w.order(id, vm.Rebuild)
	w.confirmed(id)
	if n, err := hypervisor.Sweep(t.Context(), w.driver, time.Now().Add(time.Minute)); err != nil || n != 0 || w.inspect(id).InstanceSeq != 1 {
		t.Fatalf("given up because of one endpoint: %d disks in the trash, %+v, %v", n, w.inspect(id), err)
	}
	w.chain.Agree(id)
	w.until("running as the next instance", func() bool { return w.runs(id) && w.inspect(id).InstanceSeq == 2 })
}

// A store from before the rebuild is no reason to give the new disk up.
func TestOldStoreAfterRebuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.stopAgent()
	path := filepath.Join(w.dir, "state.db")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w.startAgent()
	w.order(id, vm.Rebuild)
	w.until("running as the next instance", func() bool { return w.runs(id) && w.inspect(id).InstanceSeq == 2 })
	if _, err := hypervisor.Sweep(t.Context(), w.driver, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	pid := w.inspect(id).PID
	w.stopAgent()
	if err := errors.Join(w.db.Close(), os.WriteFile(path, old, 0o600)); err != nil {
		t.Fatal(err)
	}
	if w.db, err = store.Open(path, migrations()...); err != nil {
		t.Fatal(err)
	}
	w.startAgent()
	proofs := w.chain.Proven(id)
	w.until("proofs go on", func() bool { return w.chain.Proven(id) > proofs+2 })
	if n, err := hypervisor.Sweep(t.Context(), w.driver, time.Now().Add(time.Minute)); err != nil || n != 0 || w.inspect(id).PID != pid {
		t.Fatalf("%d disks in the trash, %+v, %v", n, w.inspect(id), err)
	}
	// It opens with the key of the instance that made it.
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	w.order(id, vm.Start)
	w.until("running again", func() bool { return w.runs(id) })
}

// reshape takes a VM through every resize and a rebuild.
func reshape(w *world) {
	w.t.Helper()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	disk, larger := w.size(1, 2048, 30), w.size(2, 4096, 40)
	w.resize(id, disk, false)
	w.until("a larger disk", func() bool { return w.has(id, disk) })
	w.resize(id, larger, true)
	w.until("a larger VM", func() bool { return w.has(id, larger) })
	w.order(id, vm.Rebuild)
	w.until("rebuilt", func() bool { return w.has(id, larger) && w.inspect(id).InstanceSeq == 2 })
	w.order(id, vm.Terminate)
	w.untilPhase(id, vm.Terminated)
	w.until("nothing is left", func() bool { return len(w.leftovers(id)) == 0 })
}

// Whatever step fails, before or after it took effect, the VM gets to its new
// size and its new disk, and nothing of it is left. (TestKilledAnywhere kills.)
func TestEachStepOfAReshapeFails(t *testing.T) {
	t.Parallel()
	const first, last = 9, 30 // what comes before is in every life
	for _, after := range []bool{false, true} {
		for at := first; at < last; at++ {
			t.Run(fmt.Sprintf("call %d, after %v", at, after), func(t *testing.T) {
				t.Parallel()
				i := &injector{at: at, after: after}
				w := newWorld(t)
				w.parts = i.apply
				w.startAgent()
				reshape(w)
				if i.hit() == "" {
					t.Errorf("a life has only %d calls", i.calls)
				}
			})
		}
	}
}
