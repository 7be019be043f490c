package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/miner/guestchannel"
	"github.com/hippius/compute/miner/report"
)

// keepProofs notes the guests' newest proofs. Batches go out only now and then: what an agent that was killed had heard
// since its last one is told by the next, so that the gap in a VM's charge begins when its agent ended and not before.
func (a *Agent) keepProofs(ctx context.Context) error {
	kept := map[vm.ID]int64{} // heights, by VM
	for sleep(ctx, a.c.ProofEvery) {
		if err := a.State.keepProofs(a.freshProofs(kept)); err != nil {
			a.Log.Warn("note proofs", "error", err)
			clear(kept)
		}
		if err := fault.Point("agent.proofs_noted"); err != nil {
			a.Log.Warn("note proofs", "error", err)
		}
	}
	return nil
}

// freshProofs are those of VMs that proved themselves since the heights in kept, which it brings up to date.
func (a *Agent) freshProofs(kept map[vm.ID]int64) map[vm.ID]guestchannel.Proof {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := map[vm.ID]guestchannel.Proof{}
	for id, u := range a.units {
		if p := u.proof(); p != nil && p.Height > kept[id] {
			kept[id], fresh[id] = p.Height, *p
		}
	}
	for id := range kept {
		if a.units[id] == nil {
			delete(kept, id)
		}
	}
	return fresh
}

// remember gives a unit the last proof of the agent before this one. Its age is by this host's clock; the chain judges
// it again by its own.
func (a *Agent) remember(u *unit, id vm.ID) {
	n, ok, err := a.State.lastProof(id)
	if err != nil {
		a.Log.Warn("read noted proof", "vm_id", id, "error", err)
		return
	}
	if age := time.Since(n.At); ok && age >= 0 && age < report.MaxProofAge {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.remembered = &n
	}
}

// keepProofs of VMs that are known.
func (s *State) keepProofs(fresh map[vm.ID]guestchannel.Proof) error {
	if len(fresh) == 0 {
		return nil
	}
	err := s.db.Update(func(tx *store.Tx) error {
		for id, n := range fresh {
			if _, known, err := s.vms.Get(tx, string(id)); err != nil {
				return err
			} else if !known {
				continue // forgotten meanwhile
			}
			if err := s.proofs.Put(tx, string(id), n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note %d proofs: %w", len(fresh), err)
	}
	return nil
}

func (s *State) lastProof(id vm.ID) (n guestchannel.Proof, ok bool, err error) {
	err = s.db.View(func(tx *store.Tx) (err error) {
		n, ok, err = s.proofs.Get(tx, string(id))
		return err
	})
	if err != nil {
		return guestchannel.Proof{}, false, fmt.Errorf("read proof of VM %s: %w", id, err)
	}
	return n, ok, nil
}
