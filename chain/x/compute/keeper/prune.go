package keeper

import (
	"context"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/entry"
	"github.com/hippius/compute/chain/x/internal/records"
)

// prune forgets tombstones and released entries that are old enough, and exclusions that ended.
func (k *Keeper) prune(ctx context.Context, p types.Params) error {
	before := now(ctx) - pruneSeconds
	dead, err := records.Due(ctx, k.tombstones, before, maxPruned)
	if err != nil {
		return err
	}
	for left := maxForgotten; len(dead) > 0 && left > 0; dead = dead[1:] {
		id, deleted, done := dead[0].K2(), 0, true
		entry.Attempt(ctx, types.ModuleName, "forget_vm", id, func(ctx context.Context) (err error) { // what failed is noted and stays
			deleted, done, err = k.forget(ctx, id, left)
			return err
		})
		if !done {
			break // the rest of it follows in the next block
		}
		left -= deleted
		if err := k.tombstones.Remove(ctx, dead[0]); err != nil {
			return err
		}
	}
	most := maxPruned + int(p.MaxAssignmentsPerBlock)
	if err := k.pruneExclusions(ctx, most); err != nil {
		return err
	}
	return k.pruneReleased(ctx, before, most)
}

// forget removes the last of a terminated VM: first its instances, at most so many, and what it is itself when no more are left.
func (k *Keeper) forget(ctx context.Context, id string, most int) (deleted int, done bool, err error) {
	v, err := k.VM(ctx, id)
	if err != nil {
		return 0, true, err
	}
	last, err := k.lastInstance(ctx, id)
	if err != nil {
		return 0, true, err
	}
	for ; deleted < min(int(last), most); deleted++ { // from the last, so that those left are numbered from 1
		if err := k.instances.Remove(ctx, collections.Join(id, last-uint32(deleted))); err != nil {
			return 0, true, err
		}
	}
	if err := k.attestations.Remove(ctx, id); err != nil {
		return 0, true, err
	}
	if left := last - uint32(deleted); left > 0 {
		s := &v.Status
		s.InstanceSeq, s.ProvenInstance, s.RebuildInstance = min(s.InstanceSeq, left), 0, 0
		return deleted, false, k.vms.Set(ctx, id, v)
	}
	if err := k.owners.Remove(ctx, collections.Join(v.Owner, id)); err != nil {
		return 0, true, err
	}
	emit(ctx, types.EventVMForgot,
		sdk.NewAttribute(types.AttributeVM, id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner))
	return deleted, true, k.vms.Remove(ctx, id)
}

// pruneReleased forgets what miners let go of long ago, at most so many; cursors older than that need a full listing.
func (k *Keeper) pruneReleased(ctx context.Context, before int64, most int) error {
	old, err := records.Due(ctx, k.releasedPrune, before, most)
	if err != nil || len(old) == 0 {
		return err
	}
	oldest, err := k.oldest(ctx)
	if err != nil {
		return err
	}
	for _, key := range old {
		if err := k.releasedPrune.Remove(ctx, key); err != nil {
			return err
		}
		if err := k.released.Remove(ctx, collections.Join3(key.K2(), key.K3(), key.K4())); err != nil {
			return err
		}
		oldest = max(oldest, key.K3())
	}
	return k.oldestHeight.Set(ctx, oldest)
}

func (k *Keeper) oldest(ctx context.Context) (int64, error) {
	return records.OrZero(k.oldestHeight.Get(ctx))
}
