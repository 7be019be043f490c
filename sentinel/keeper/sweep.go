package keeper

import (
	"context"
	"fmt"
	"time"

	"github.com/hippius/compute/core/vm"
)

const (
	// sweepBatch bounds the VMs looked at in one sweep.
	sweepBatch = 500
	// pendingRecheck is how often a VM that is not on chain yet, or has parts that are not, is looked for.
	pendingRecheck = 15 * time.Second
)

// Run sweeps every interval until ctx ends, and then returns nil.
func (k *Keeper) Run(ctx context.Context, interval time.Duration) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		if err := k.Sweep(ctx); err != nil && ctx.Err() == nil {
			k.set.Log.Warn("sweep failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Sweep compares what is held with the chain, once: deals whose VM did not appear in time are dropped, shares of
// terminated VMs erased. What the chain cannot be asked about stays. Times are the chain's: while it stands still,
// nothing lapses.
func (k *Keeper) Sweep(ctx context.Context) error {
	now, err := k.set.Chain.Time(ctx)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	ids, err := k.vault.due(now, sweepBatch)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	for _, id := range ids {
		if err := k.sweepOne(ctx, id, now); err != nil {
			return fmt.Errorf("sweep VM %s: %w", id, err)
		}
	}
	return nil
}

func (k *Keeper) sweepOne(ctx context.Context, id vm.ID, now time.Time) error {
	unlock, err := k.locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	v, found, err := k.set.Chain.VM(ctx, id)
	if err != nil {
		return err
	}
	var why string
	err = k.vault.change(id, func(h *holding) bool {
		switch {
		case found && v.Status.Phase.Final():
			why = "terminated"
		case found:
			h.Pending, h.MissingSince = false, 0
			h.CheckAt = now.Add(k.set.Limits.Recheck).Unix()
			for seq, p := range h.Parts {
				i, named := v.Instance(seq)
				p.OnChain = named && names(i, p.CommitmentHash, p.BundleHash)
				h.Parts[seq] = p
				if p.OnChain {
					continue
				}
				if k.set.Limits.lapsed(p.DealtAt, now) {
					delete(h.Parts, seq)
					continue
				}
				h.CheckAt = now.Add(pendingRecheck).Unix()
			}
		case h.Pending:
			h.CheckAt = now.Add(pendingRecheck).Unix()
			if k.set.Limits.lapsed(h.DealtAt, now) {
				why = "not on chain in time"
			}
		default:
			// It was on chain and is not: its tombstone is gone, or our node is wrong. Time tells.
			h.CheckAt = now.Add(k.set.Limits.Recheck).Unix()
			if h.MissingSince == 0 {
				h.MissingSince = now.Unix()
			}
			if now.Unix()-h.MissingSince >= int64(k.set.Limits.MissingFor.Seconds()) {
				why = "gone from the chain"
			}
		}
		return why == ""
	})
	if err == nil && why != "" {
		k.set.Log.Info("shares erased", "vm_id", id, "reason", why)
	}
	return err
}
