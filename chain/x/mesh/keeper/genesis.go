package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/mesh/types"
)

// InitGenesis loads the state. A chain that goes on at the height of its export keeps the heights of changes; in one that
// begins anew they do too, and followers read the whole directory.
func (k *Keeper) InitGenesis(ctx context.Context, g types.GenesisState) error {
	if err := g.Validate(); err != nil {
		return err
	}
	if err := k.params.Set(ctx, g.Params); err != nil {
		return err
	}
	taken, next := map[uint32]bool{}, uint32(0)
	for _, t := range g.Tenants {
		if t.Allocated() {
			taken[t.Index] = true
			next = max(next, t.Index+1)
			if err := k.tenantsByIndex.Set(ctx, t.Index, t.Owner); err != nil {
				return err
			}
		}
		if err := k.setRelease(ctx, &t, t.ReleaseAt); err != nil {
			return err
		}
		if t.ChangedHeight < 1 || t.ChangedHeight >= sdk.UnwrapSDKContext(ctx).BlockHeight() {
			t.ChangedHeight = max(sdk.UnwrapSDKContext(ctx).BlockHeight(), 1)
		}
		if err := errors.Join(k.changed.Set(ctx, collections.Join(t.ChangedHeight, t.Owner)), k.tenants.Set(ctx, t.Owner, t)); err != nil {
			return err
		}
	}
	for i := range next {
		if !taken[i] {
			if err := k.freeIndices.Set(ctx, i); err != nil {
				return err
			}
		}
	}
	if err := k.nextIndex.Set(ctx, next); err != nil {
		return err
	}
	return k.initLighthouses(ctx, g)
}

// initLighthouses loads the lighthouses and the addresses held for those that left. One from before there was a rent is
// given types.UnpaidDays.
func (k *Keeper) initLighthouses(ctx context.Context, g types.GenesisState) error {
	numbers := map[uint32]bool{}
	take := func(operator, address string) error {
		number, err := types.LighthouseNumber(operator, address)
		if err != nil {
			return err
		}
		numbers[number] = true
		return k.lighthousesByNumber.Set(ctx, number, operator)
	}
	for _, l := range g.Lighthouses {
		if l.ExpiresAt == 0 {
			l.ExpiresAt = now(ctx) + types.UnpaidDays*types.DaySeconds
		}
		if err := errors.Join(take(l.Operator, l.Address), k.lighthouses.Set(ctx, l.Operator, l),
			k.expiries.Set(ctx, collections.Join(l.ExpiresAt, l.Operator))); err != nil {
			return err
		}
	}
	for _, h := range g.HeldAddresses {
		if err := errors.Join(take(h.Operator, h.Address), k.hold(ctx, h)); err != nil {
			return err
		}
	}
	next := uint32(1)
	for number := range numbers {
		next = max(next, number+1)
	}
	for number := uint32(1); number < next; number++ {
		if numbers[number] {
			continue
		}
		if err := k.freeNumbers.Set(ctx, number); err != nil {
			return err
		}
	}
	if err := k.nextNumber.Set(ctx, next); err != nil {
		return err
	}
	return k.lighthouseCount.Set(ctx, uint32(len(g.Lighthouses)))
}

// ExportGenesis is the state between two blocks.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	g := &types.GenesisState{}
	var err error
	if g.Params, err = k.params.Get(ctx); err != nil {
		return nil, err
	}
	if g.Tenants, err = records.All(ctx, k.tenants); err != nil {
		return nil, err
	}
	if g.Lighthouses, err = records.All(ctx, k.lighthouses); err != nil {
		return nil, err
	}
	g.HeldAddresses, err = records.All(ctx, k.heldAddresses)
	return g, err
}

// CheckInvariants says which invariant of the module is violated, if any: every record
// is well formed, no block belongs to two tenants, every tenant is once in the
// index of changes, and a block is due for release exactly when it has no VM.
// True between blocks; it reads every tenant.
func (k *Keeper) CheckInvariants(ctx context.Context) error {
	tenants, releases := 0, 0
	err := k.tenants.Walk(ctx, nil, func(owner string, t types.Tenant) (bool, error) {
		tenants++
		if err := t.Validate(); err != nil {
			return true, err
		}
		has, err := k.changed.Has(ctx, collections.Join(t.ChangedHeight, owner))
		if err != nil {
			return true, err
		}
		if !has {
			return true, fmt.Errorf("tenant %s is not in the index of changes", owner)
		}
		if !t.Allocated() {
			return false, nil
		}
		holder, err := k.tenantsByIndex.Get(ctx, t.Index)
		if err != nil {
			return true, err
		}
		if holder != owner {
			return true, fmt.Errorf("block %d of tenant %s belongs to %s", t.Index, owner, holder)
		}
		if t.Vms == 0 {
			releases++
			has, err := k.releases.Has(ctx, collections.Join(t.ReleaseAt, owner))
			if err != nil {
				return true, err
			}
			if !has {
				return true, fmt.Errorf("tenant %s waits for no release", owner)
			}
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	changed, queued := 0, 0
	if err := k.changed.Walk(ctx, nil, func(collections.Pair[int64, string]) (bool, error) { changed++; return false, nil }); err != nil {
		return err
	}
	if err := k.releases.Walk(ctx, nil, func(collections.Pair[int64, string]) (bool, error) { queued++; return false, nil }); err != nil {
		return err
	}
	if changed != tenants || queued != releases {
		return fmt.Errorf("%d changes of %d tenants, %d releases of %d due", changed, tenants, queued, releases)
	}
	return k.checkLighthouses(ctx)
}

// checkLighthouses: each is counted, holds its number and waits for the end of its rent, and each address that is held
// waits to become free.
func (k *Keeper) checkLighthouses(ctx context.Context) error {
	numbers, paid, held := uint32(0), uint32(0), uint32(0)
	check := func(operator, address string, queue collections.KeySet[collections.Pair[int64, string]], at int64) error {
		number, err := types.LighthouseNumber(operator, address)
		if err != nil {
			return err
		}
		holder, err := k.lighthousesByNumber.Get(ctx, number)
		if err != nil || holder != operator {
			return fmt.Errorf("lighthouse number %d of %s belongs to %q: %w", number, operator, holder, err)
		}
		queued, err := queue.Has(ctx, collections.Join(at, operator))
		if err == nil && !queued {
			err = fmt.Errorf("lighthouse %s is not in the queue at %d", operator, at)
		}
		return err
	}
	err := k.lighthouses.Walk(ctx, nil, func(_ string, l types.Lighthouse) (bool, error) {
		paid++
		return false, check(l.Operator, l.Address, k.expiries, l.ExpiresAt)
	})
	if err != nil {
		return err
	}
	err = k.heldAddresses.Walk(ctx, nil, func(_ string, h types.HeldAddress) (bool, error) {
		held++
		return false, check(h.Operator, h.Address, k.frees, h.FreeAt)
	})
	if err != nil {
		return err
	}
	if err := k.lighthousesByNumber.Walk(ctx, nil, func(uint32, string) (bool, error) { numbers++; return false, nil }); err != nil {
		return err
	}
	if count, err := k.count(ctx); err != nil || count != paid || numbers != paid+held {
		return fmt.Errorf("%d lighthouses counted of %d, %d numbers, %d held: %w", count, paid, numbers, held, err)
	}
	return nil
}
