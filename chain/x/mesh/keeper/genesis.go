package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/mesh/types"
)

// InitGenesis loads the state. Heights of changes begin anew: followers read the whole directory.
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
		if err := k.put(ctx, t); err != nil {
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
	for _, l := range g.Lighthouses {
		number, err := l.Number()
		if err != nil {
			return err
		}
		if err := k.lighthousesByNumber.Set(ctx, number, l.Operator); err != nil {
			return err
		}
		if err := k.lighthouses.Set(ctx, l.Operator, l); err != nil {
			return err
		}
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
	g.Lighthouses, err = records.All(ctx, k.lighthouses)
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
	return nil
}
