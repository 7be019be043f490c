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
func (k *Keeper) prune(ctx context.Context) error {
	before := now(ctx) - pruneSeconds
	dead, err := records.Due(ctx, k.tombstones, before, maxPruned)
	if err != nil {
		return err
	}
	for _, key := range dead {
		if err := k.tombstones.Remove(ctx, key); err != nil {
			return err
		}
		forget := func(ctx context.Context) error { return k.forget(ctx, key.K2()) }
		entry.Attempt(ctx, types.ModuleName, "forget_vm", key.K2(), forget) // what failed is noted and stays
	}
	if err := k.pruneExclusions(ctx); err != nil {
		return err
	}
	return k.pruneReleased(ctx, before)
}

// forget removes the last of a terminated VM.
func (k *Keeper) forget(ctx context.Context, id string) error {
	v, err := k.VM(ctx, id)
	if err != nil {
		return err
	}
	if err := k.owners.Remove(ctx, collections.Join(v.Owner, id)); err != nil {
		return err
	}
	if err := k.instances.Clear(ctx, collections.NewPrefixedPairRange[string, uint32](id)); err != nil {
		return err
	}
	emit(ctx, types.EventVMForgot,
		sdk.NewAttribute(types.AttributeVM, id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner))
	if err := k.attestations.Remove(ctx, id); err != nil {
		return err
	}
	return k.vms.Remove(ctx, id)
}

// pruneReleased forgets what miners let go of long ago; cursors older than that need a full listing.
func (k *Keeper) pruneReleased(ctx context.Context, before int64) error {
	old, err := records.Due(ctx, k.releasedPrune, before, maxPruned)
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
