package agent_test

import (
	"context"
	"sync"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// witness counts what the agent asks the hypervisor: evidence that it has looked, for tests in which nothing may happen.
type witness struct {
	hypervisor.Driver

	mu        sync.Mutex
	looks     map[vm.ID]int
	shutdowns map[vm.ID]int
	sweeps    int
}

func newWitness(d hypervisor.Driver) *witness {
	return &witness{Driver: d, looks: map[vm.ID]int{}, shutdowns: map[vm.ID]int{}}
}

func (d *witness) note(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *witness) Inspect(ctx context.Context, id vm.ID) (hypervisor.Info, error) {
	d.note(func() { d.looks[id]++ })
	return d.Driver.Inspect(ctx, id)
}

func (d *witness) Shutdown(ctx context.Context, id vm.ID, deadline time.Duration) (hypervisor.Manner, error) {
	d.note(func() { d.shutdowns[id]++ })
	return d.Driver.Shutdown(ctx, id, deadline)
}

func (d *witness) BaseImages(ctx context.Context) ([]string, error) {
	d.note(func() { d.sweeps++ })
	return d.Driver.BaseImages(ctx)
}

// more waits until a count has grown by n.
func (w *world) more(what string, n int, count func() int) {
	w.t.Helper()
	before := count()
	w.until(what, func() bool { return count() >= before+n })
}

// looked waits until the agent has looked at a VM n times more. A single step may look three times.
func (w *world) looked(id vm.ID, n int) {
	w.t.Helper()
	w.more("looks at the VM", n, func() (count int) {
		w.witness.note(func() { count = w.witness.looks[id] })
		return count
	})
}

// heard waits until the agent has stored what the chain says now, and has looked at a VM since.
func (w *world) heard(id vm.ID) {
	w.t.Helper()
	w.more("questions to the chain", 2, w.chain.Asked) // the answer to the first is stored when it asks again
	w.looked(id, 2)                                    // the first look may have begun before
}

// confirmed waits until the agent has asked each endpoint for a VM, and acted upon the answers.
func (w *world) confirmed(id vm.ID) {
	w.t.Helper()
	w.more("questions to each endpoint", 2, func() int { return w.chain.AskedEverywhere(id) })
}

// tidied waits until the agent has tidied the host once more.
func (w *world) tidied() {
	w.t.Helper()
	w.more("sweeps", 2, func() (count int) {
		w.witness.note(func() { count = w.witness.sweeps })
		return count
	})
}
