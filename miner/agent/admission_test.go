package agent_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
)

// A miner with room for two VMs is given three: it gives one back with the
// reason, whichever came last, and takes it when there is room again.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	offer := atomic.Pointer[node.Capacity]{}
	offer.Store(&node.Capacity{Cores: 4, MemoryMiB: 5 << 10, DiskGiB: 100}) // a spark takes 2 GiB
	w.config.Offer = func() (node.Capacity, bool) { return *offer.Load(), true }
	w.startAgent()
	ids := []vm.ID{w.newVM(), w.newVM(), w.newVM()}
	count := func(ok func(id vm.ID) bool) (n int) {
		for _, id := range ids {
			if ok(id) {
				n++
			}
		}
		return n
	}
	refused := func(id vm.ID) bool { return w.chain.Saw(id, "failed "+agent.ReasonNoRoom) }
	w.until("two run and one is refused", func() bool { return count(w.runs) == 2 && count(refused) == 1 })
	var stays vm.ID
	for _, id := range ids {
		if !refused(id) {
			stays = id
			continue
		}
		if said := w.chain.Get(id).Status.Message; !strings.Contains(said, "1024 MiB") {
			t.Errorf("the refusal does not say what is left: %q", said)
		}
		w.until("nothing of it here", func() bool { return w.inspect(id).State == "absent" })
	}

	// Less on offer turns out nobody who is here, not even through a stop.
	offer.Store(&node.Capacity{Cores: 4, MemoryMiB: 1 << 10, DiskGiB: 100})
	w.order(stays, vm.Stop)
	w.untilPhase(stays, vm.Stopped)
	w.order(stays, vm.Start)
	w.until("it runs again", func() bool { return w.runs(stays) })

	// What goes makes room.
	offer.Store(&node.Capacity{Cores: 4, MemoryMiB: 5 << 10, DiskGiB: 100})
	w.order(stays, vm.Terminate)
	w.untilPhase(stays, vm.Terminated)
	next := w.newVM()
	w.until("the next one runs", func() bool { return w.runs(next) })
}
