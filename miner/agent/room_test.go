package agent_test

import (
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// trashed counts the disks in the trash of a VM.
func (w *world) trashed(id vm.ID) (n int) {
	w.t.Helper()
	s, err := w.driver.Space(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, t := range s.Trash {
		if t.VM == id {
			n++
		}
	}
	return n
}

// Whoever rebuilds a VM in a loop has his own trash give way, at once, and nobody else's disks.
func TestRebuildsDoNotFillTheHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id, other := w.newVM(), w.newVM()
	for _, id := range []vm.ID{id, other} {
		w.until("running", func() bool { return w.runs(id) })
	}
	bytes, err := w.driver.DiskBytes(id)
	if err != nil {
		t.Fatal(err)
	}
	w.driver.SetRoom(3*bytes + hypervisor.SpareBytes)
	for seq := uint32(2); seq <= 3; seq++ {
		w.order(id, vm.Rebuild)
		w.until("rebuilt", func() bool { return w.runs(id) && w.inspect(id).InstanceSeq == seq })
	}
	if n := w.trashed(id); n != 1 {
		t.Errorf("%d disks are in the trash; there is room for 1", n)
	}
	if !w.runs(other) {
		t.Error("the other VM does not run")
	}
	// Another VM of the same owner is ended: what it was is in the trash no longer than its next disk needs.
	w.order(other, vm.Terminate)
	w.until("ended", func() bool { return w.trashed(other) == 1 })
	next := w.newVM()
	w.until("running", func() bool { return w.runs(next) })
	if w.runs(id); w.trashed(id)+w.trashed(other) > 1 {
		t.Errorf("%d and %d disks are in the trash", w.trashed(id), w.trashed(other))
	}
}

// Disks that grow push out what is in the trash, but not what is young, unless the host is about to fill.
func TestDisksThatGrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.RoomEvery = 10 * time.Millisecond
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	bytes, err := w.driver.DiskBytes(id)
	if err != nil {
		t.Fatal(err)
	}
	w.order(id, vm.Rebuild)
	w.until("rebuilt", func() bool { return w.runs(id) && w.inspect(id).InstanceSeq == 2 })
	w.driver.SetRoom(2*bytes + hypervisor.SpareBytes)
	w.looked(id, 6)
	if n := w.trashed(id); n != 1 {
		t.Fatalf("%d disks are in the trash, which has room", n)
	}
	w.driver.SetRoom(2*bytes + hypervisor.SpareBytes - 1)
	w.until("the trash gives way", func() bool { return w.trashed(id) == 0 })
	if has, err := w.driver.HasDisk(t.Context(), hypervisor.Root(id)); err != nil || !has || !w.runs(id) {
		t.Errorf("the VM has its disk: %v, %v", has, err)
	}
}
