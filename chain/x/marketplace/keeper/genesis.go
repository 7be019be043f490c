package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/marketplace/types"
)

// InitGenesis loads the state.
func (k *Keeper) InitGenesis(ctx context.Context, g types.GenesisState) error {
	if err := g.Validate(); err != nil {
		return err
	}
	if err := k.params.Set(ctx, g.Params); err != nil {
		return err
	}
	for _, p := range g.Plans {
		if err := k.plans.Set(ctx, p.Name, p); err != nil {
			return err
		}
	}
	for _, i := range g.Images {
		if err := k.images.Set(ctx, i.Name, i); err != nil {
			return err
		}
	}
	for _, a := range g.Apps {
		if err := k.apps.Set(ctx, a.Name, a); err != nil {
			return err
		}
	}
	for _, m := range g.Meters {
		if err := k.save(ctx, &account{name: m.Account, meter: m.Core()}); err != nil {
			return err
		}
	}
	return nil
}

// ExportGenesis is the state between two blocks.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	g := &types.GenesisState{}
	var err error
	if g.Params, err = k.params.Get(ctx); err != nil {
		return nil, err
	}
	if g.Plans, err = records.All(ctx, k.plans); err != nil {
		return nil, err
	}
	if g.Images, err = records.All(ctx, k.images); err != nil {
		return nil, err
	}
	if g.Apps, err = records.All(ctx, k.apps); err != nil {
		return nil, err
	}
	g.Meters, err = records.All(ctx, k.meters)
	return g, err
}

// CheckInvariants says which invariant of the module is violated, if any: every meter
// is in order, and the queue holds exactly the meters that have something to
// do, each at its time. It reads every meter.
func (k *Keeper) CheckInvariants(ctx context.Context) error {
	var queued int
	err := k.meters.Walk(ctx, nil, func(name string, m types.Meter) (bool, error) {
		c := m.Core()
		if err := c.Check(); err != nil {
			return true, fmt.Errorf("meter of %s: %w", name, err)
		}
		if m.NextDue == 0 {
			if m.Rate > 0 || m.Owed > 0 {
				return true, fmt.Errorf("meter of %s has something to do but no time for it", name)
			}
			return false, nil
		}
		queued++
		has, err := k.due.Has(ctx, collections.Join(m.NextDue, name))
		if err == nil && !has {
			err = fmt.Errorf("meter of %s is due at %d but not in the queue", name, m.NextDue)
		}
		return err != nil, err
	})
	if err != nil {
		return err
	}
	var n int
	err = k.due.Walk(ctx, nil, func(collections.Pair[int64, string]) (bool, error) {
		n++
		return false, nil
	})
	if err == nil && n != queued {
		err = fmt.Errorf("%d meters are due some time but the queue has %d", queued, n)
	}
	return err
}
