package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/agent/agenttest"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/record"
)

// process tells a VM's process apart from any other.
func (w *world) process(id vm.ID) string {
	info := w.inspect(id)
	return fmt.Sprintf("%s process %d of instance %d", info.State, info.PID, info.InstanceSeq)
}

// boots counts how often a disk was booted.
func (w *world) boots(id vm.ID) (n int) {
	w.t.Helper()
	var disk struct{ Boots int }
	text, err := os.ReadFile(filepath.Join(w.dir, "vms", "disks", string(id)))
	if err == nil {
		err = json.Unmarshal(text, &disk)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return disk.Boots
}

// provesOn waits until a VM's guest has proved itself some more.
func (w *world) provesOn(id vm.ID) {
	w.t.Helper()
	proofs := w.chain.Proven(id)
	w.until("proofs go on", func() bool { return w.chain.Proven(id) > proofs+2 })
}

// movedClock is a driver whose host's clock was set by some hours after its VMs started: that is when their starts
// seem to have been.
type movedClock struct {
	hypervisor.Driver
	by atomic.Int64
}

func (d *movedClock) Inspect(ctx context.Context, id vm.ID) (hypervisor.Info, error) {
	info, err := d.Driver.Inspect(ctx, id)
	if !info.Since.IsZero() {
		info.Since = info.Since.Add(-time.Duration(d.by.Load()))
	}
	return info, err
}

// Clocks are set, by hours: nothing is stopped, restarted, given back or thrown away for it, and no proof is sent that the
// chain would not take.
func TestClockMoved(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]time.Duration{"forwards": 30 * time.Hour, "backwards": -30 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if err := w.driver.Close(); err != nil {
				t.Fatal(err)
			}
			w.boot = time.Second // long enough to be looked at while it boots
			w.openDriver()
			clock := &movedClock{}
			w.parts = func(p *agent.Parts) { clock.Driver = p.Driver; p.Driver = clock }
			w.startAgent()
			old := w.newVM()
			w.until("running", func() bool { return w.runs(old) })
			// A disk that was trashed just now.
			gone := w.newVM()
			w.until("running", func() bool { return w.runs(gone) })
			w.order(gone, vm.Terminate)
			w.untilPhase(gone, vm.Terminated)

			before := w.process(old)
			fresh := w.newVM()
			w.until("booting", func() bool { return w.inspect(fresh).State == hypervisor.StateRunning })
			clock.by.Store(int64(by))
			w.chain.SetBehind(by) // its clock goes on as before
			w.provesOn(old)       // the agent knows its time
			agedTrash(t, w, gone, by)
			w.until("the new one runs, too", func() bool { return w.runs(fresh) })
			w.provesOn(old)
			w.provesOn(fresh)
			w.tidied()
			w.looked(old, 2)
			w.looked(fresh, 2)
			if got := w.process(old); got != before {
				t.Errorf("%s became %s", before, got)
			}
			if n := w.boots(fresh); n != 1 {
				t.Errorf("the new one was booted %d times", n)
			}
			if err := w.driver.RestoreDisk(t.Context(), hypervisor.Root(gone)); err != nil {
				t.Errorf("the disk trashed today is gone: %v", err)
			}
			// And an agent that starts under the new clock.
			w.stopAgent()
			w.startAgent()
			w.provesOn(old)
			if got := w.process(old); got != before {
				t.Errorf("%s became %s", before, got)
			}
			for _, refused := range w.chain.Refusals() {
				if strings.Contains(refused, "proof") {
					t.Errorf("the chain refused: %s", refused)
				}
			}
		})
	}
}

// agedTrash gives a VM's trashed disk the time that it would have by a clock that was set since.
func agedTrash(t *testing.T, w *world, id vm.ID, by time.Duration) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "vms", "trash", string(id)+".*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("trash of %s: %v, %v", id, found, err)
	}
	to := fmt.Sprintf("%s.%d", strings.TrimSuffix(found[0], filepath.Ext(found[0])), time.Now().Add(-by).UnixNano())
	if err := os.Rename(found[0], to); err != nil {
		t.Fatal(err)
	}
}

// While the agent is cut off, the chain forgets the changes since its cursor: it takes the full listing.
func TestPrunedBeyondTheCursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	kept, gone := w.newVM(), w.newVM()
	w.until("both running", func() bool { return w.runs(kept) && w.runs(gone) })
	before := w.process(kept)
	w.chain.SetAway(errors.New("no node answers"))
	w.chain.Move(gone)
	w.chain.ForgetReleases()
	w.chain.SetAway(nil)
	w.until("let go", func() bool { return w.inspect(gone).State == hypervisor.StateAbsent })
	w.provesOn(kept)
	if got := w.process(kept); got != before {
		t.Errorf("%s became %s", before, got)
	}
}

// restored is a chain whose node can be set back to what it knew once.
type restored struct {
	agent.Chain
	mu     sync.Mutex
	past   *agent.Changes
	others []vm.VM // that other miners held then
	full   int     // listings asked for since
}

func (c *restored) then() *agent.Changes {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.past
}

func (c *restored) Changes(ctx context.Context, after int64) (agent.Changes, error) {
	past := c.then()
	if past == nil {
		return c.Chain.Changes(ctx, after)
	}
	if after <= 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.full++
		return *past, nil
	}
	return agent.Changes{Changes: record.Changes{Height: past.Height}, Head: past.Head}, nil
}

func (c *restored) Everywhere(ctx context.Context, id vm.ID) ([]vm.VM, error) {
	past := c.then()
	if past == nil {
		return c.Chain.Everywhere(ctx, id)
	}
	for _, v := range slices.Concat(past.VMs, c.others) {
		if v.ID == id {
			return []vm.VM{v}, nil
		}
	}
	return []vm.VM{{}}, nil
}

// The only node is restored from a copy: it has not heard of one VM, holds one for stopped and one for another miner's.
// The agent asks for everything anew, and neither ends nor starts a VM because of old data.
func TestNodeRestoredBehindTheCursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := &restored{}
	w.parts = func(p *agent.Parts) { node.Chain = p.Chain; p.Chain = node }
	w.startAgent()
	stopped, moved, left := w.newVM(), w.newVM(), w.newVM()
	w.until("all running", func() bool { return w.runs(stopped) && w.runs(moved) && w.runs(left) })
	w.order(stopped, vm.Stop)
	w.untilPhase(stopped, vm.Stopped)
	w.chain.Move(moved) // away, and soon back
	w.until("let go", func() bool { return w.inspect(moved).State == hypervisor.StateAbsent })

	past, err := w.chain.Changes(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	others := []vm.VM{w.chain.Get(moved)}
	for _, v := range past.VMs {
		if v.ID == left { // it had never run
			v.Status.Phase, v.Status.HasData = vm.Provisioning, false
		}
	}

	w.chain.Move(left) // for good: another miner runs it now
	w.until("let go", func() bool { return w.inspect(left).State == hypervisor.StateAbsent })
	w.order(stopped, vm.Start)
	w.chain.Change(moved, func(v *vm.VM) {
		v.Status.Miner, v.Status.InstanceSeq, v.Status.Phase = agenttest.Miner, 3, vm.Assigned
		v.Status.HasData = false // its disk went with it
	})
	unheard := w.newVM()
	all := []vm.ID{stopped, moved, unheard}
	before := map[vm.ID]string{}
	for _, id := range all {
		w.until("running", func() bool { return w.runs(id) })
		before[id] = w.process(id)
	}

	node.mu.Lock()
	node.past, node.others = &past, others
	node.mu.Unlock()
	w.until("a full listing", func() bool {
		node.mu.Lock()
		defer node.mu.Unlock()
		return node.full > 0
	})
	w.tidied()
	for _, id := range all {
		w.looked(id, 6)
		if got := w.process(id); got != before[id] {
			t.Errorf("because of a node restored from a copy, %s became %s", before[id], got)
		}
	}
	if got := w.inspect(left).State; got != hypervisor.StateAbsent {
		t.Errorf("because of a node restored from a copy, a VM that runs elsewhere is %v here", got)
	}
	node.mu.Lock()
	node.past = nil
	node.mu.Unlock()
	for _, id := range all {
		w.provesOn(id)
		if got := w.process(id); got != before[id] || w.chain.Phase(id) != vm.Running {
			t.Errorf("%s became %s, %s", before[id], got, w.chain.Phase(id))
		}
	}
}

// copyState of an agent that is not there.
func (w *world) copyState() (restore func()) {
	w.t.Helper()
	path := filepath.Join(w.stateDir, "state.db")
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.openState()
	return func() {
		if err := w.db.Close(); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			w.t.Fatal(err)
		}
		w.openState()
	}
}

func (w *world) openState() {
	w.t.Helper()
	var err error
	if w.db, err = store.Open(filepath.Join(w.stateDir, "state.db"), migrations()...); err != nil {
		w.t.Fatal(err)
	}
}

// The database comes from an older copy: one VM is stopped in it and runs, one is not in it and runs, one is in it and
// ended long ago, one was moved away while the copy says that it runs here.
func TestOlderDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	started, ended, moved := w.newVM(), w.newVM(), w.newVM()
	w.until("all running", func() bool { return w.runs(started) && w.runs(ended) && w.runs(moved) })
	w.order(started, vm.Stop)
	w.untilPhase(started, vm.Stopped)
	w.stopAgent()
	restore := w.copyState()
	w.startAgent()
	w.order(started, vm.Start)
	w.order(ended, vm.Terminate)
	unheard := w.newVM()
	w.until("running", func() bool { return w.runs(started) && w.runs(unheard) })
	w.untilPhase(ended, vm.Terminated)
	w.stopAgent()
	w.chain.Move(moved)
	before := map[vm.ID]string{started: w.process(started), unheard: w.process(unheard)}

	restore()
	w.startAgent()
	for id, was := range before {
		w.provesOn(id)
		if got := w.process(id); got != was {
			t.Errorf("%s became %s", was, got)
		}
	}
	w.until("the moved one is let go", func() bool { return len(w.vmAndDisk(moved)) == 0 })
	// And they are as much its own as before.
	for id := range before {
		w.order(id, vm.Terminate)
		w.untilPhase(id, vm.Terminated)
		w.until("gone", func() bool { return len(w.vmAndDisk(id)) == 0 })
	}
	w.until("nothing is left", func() bool { return len(w.leftovers(ended)) == 0 })
}

// vmAndDisk names what is left of one VM among others.
func (w *world) vmAndDisk(id vm.ID) (left []string) {
	w.t.Helper()
	if s := w.inspect(id).State; s != hypervisor.StateAbsent {
		left = append(left, "VM "+string(s))
	}
	if has, err := w.driver.HasDisk(w.t.Context(), hypervisor.Root(id)); err != nil || has {
		left = append(left, "disk")
	}
	return left
}

// The database is lost while VMs run: they are adopted, with the images under their disks, and one that the chain
// does not know is left alone.
func TestLostDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.stopAgent()
	stranger := hypervisor.Definition{
		ID: "00112233445566778899aabbccddeeff", InstanceSeq: 1, VCPUs: 1, MemoryMiB: 64, DiskBytes: 1 << 20, BaseImage: "/x", BaseFormat: "raw",
		DiskKey: make([]byte, hypervisor.DiskKeyBytes),
	}
	w.deafMute.Store(true)
	if err := errors.Join(
		w.driver.Define(t.Context(), stranger), w.driver.CreateDisk(t.Context(), stranger.Root()),
		w.driver.Start(t.Context(), stranger.ID, stranger.DiskKey),
	); err != nil {
		t.Fatal(err)
	}
	before, others := w.process(id), w.process(stranger.ID)
	if err := errors.Join(w.db.Close(), os.Remove(filepath.Join(w.stateDir, "state.db"))); err != nil {
		t.Fatal(err)
	}
	w.openState()
	// The cache wants room, and the image was last asked for days ago.
	w.images.Close()
	var err error
	if w.images, err = image.New(image.Config{Dir: filepath.Join(w.dir, "images"), AllowFile: true, MaxBytes: 1}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "images", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("images %v, %v", files, err)
	}
	long := time.Now().Add(-72 * time.Hour)
	if err := os.Chtimes(files[0], long, long); err != nil {
		t.Fatal(err)
	}

	w.startAgent()
	w.provesOn(id)
	w.tidied()
	w.looked(id, 2)
	if got := w.process(id); got != before {
		t.Errorf("%s became %s", before, got)
	}
	if got := w.process(stranger.ID); got != others {
		t.Errorf("a VM the chain knows nothing of: %s became %s", others, got)
	}
	if _, err := os.Stat(files[0]); err != nil {
		t.Errorf("the image under a disk is gone: %v", err)
	}
	// The VM's life goes on, on its disk.
	w.deafMute.Store(false)
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	w.order(id, vm.Start)
	w.until("running again", func() bool { return w.runs(id) })
	if n := w.boots(id); n != 2 {
		t.Errorf("its disk was booted %d times, want the one it had", n)
	}
}

// poisoned is a chain whose node tells of a height that is not, when asked to.
type poisoned struct {
	agent.Chain
	next atomic.Bool
	told atomic.Int64
}

func (c *poisoned) Changes(ctx context.Context, after int64) (agent.Changes, error) {
	changes, err := c.Chain.Changes(ctx, after)
	if err == nil && c.next.Load() {
		c.told.Add(1)
		changes.Height, changes.Head.Height = 1<<48, 1<<48
	}
	return changes, err
}

// A node tells of a height that is far in the future: nothing is taken from it. An agent that took it once, before it knew better,
// hears everything anew, and goes on.
func TestPoisonedCursorHeals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := &poisoned{}
	w.parts = func(p *agent.Parts) { node.Chain = p.Chain; p.Chain = node }
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	node.next.Store(true)
	w.until("the node lies", func() bool { return node.told.Load() > 3 })
	node.next.Store(false)
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)

	w.stopAgent()
	if _, err := record.New(w.db).Apply(record.Changes{Height: 1 << 48}); err != nil {
		t.Fatal(err)
	}
	w.startAgent()
	w.order(id, vm.Start)
	w.until("running again", func() bool { return w.runs(id) })
	w.stopAgent()
	if cursor, err := record.New(w.db).Cursor(); err != nil || cursor == 0 || cursor >= 1<<48 {
		t.Errorf("the cursor is %d, %v", cursor, err)
	}
}
