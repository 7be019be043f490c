package agent

import (
	"context"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/guestchannel"
	"github.com/hippius/compute/miner/report"
)

// keepProofs notes the guests' newest proofs. Batches go out only now and then: what an agent that was killed had heard
// since its last one is told by the next, so that the gap in a VM's charge begins when its agent ended and not before.
func (a *Agent) keepProofs(ctx context.Context) error {
	kept := map[vm.ID]int64{} // heights, by VM
	for sleep(ctx, a.c.ProofEvery) {
		if err := a.State.KeepProofs(a.freshProofs(kept)); err != nil {
			a.Log.Warn("store proofs", "error", err)
			clear(kept)
		}
		if err := fault.Point("agent.proofs_noted"); err != nil {
			a.Log.Warn("store proofs", "error", err)
		}
	}
	return nil
}

// freshProofs are those of VMs that proved themselves since the heights in kept, which it brings up to date.
func (a *Agent) freshProofs(kept map[vm.ID]int64) map[vm.ID]guestchannel.Proof {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := map[vm.ID]guestchannel.Proof{}
	for id, u := range a.vms {
		if p := u.proof(); p != nil && p.Height > kept[id] {
			kept[id], fresh[id] = p.Height, *p
		}
	}
	for id := range kept {
		if a.vms[id] == nil {
			delete(kept, id)
		}
	}
	return fresh
}

// recall the last proof that the agent before this one noted of a VM that runs. Its age is by this host's clock; the chain judges
// it again by its own.
func (a *Agent) recall(u *vmState, id vm.ID) {
	n, ok, err := a.State.LastProof(id)
	if err != nil {
		a.Log.Warn("read stored proof", "vm_id", id, "error", err)
		return
	}
	if age := time.Since(n.At); ok && age >= 0 && age < report.MaxProofAge {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.remembered = &n
	}
}
