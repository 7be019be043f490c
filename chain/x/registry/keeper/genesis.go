package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"
	sdkmath "cosmossdk.io/math"

	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/registry/types"
)

// InitGenesis loads the state; the module account must hold the bonds already.
// The committee is computed at the end of the first block, when validators are known, if there is none.
func (k *Keeper) InitGenesis(ctx context.Context, g types.GenesisState) error {
	if err := g.Validate(); err != nil {
		return err
	}
	if err := k.params.Set(ctx, g.Params); err != nil {
		return err
	}
	for _, m := range g.Miners {
		if m.Status != types.StatusGone {
			if err := k.minerIdentities.Set(ctx, m.Identity, m.Operator); err != nil {
				return err
			}
		}
		if m.Status == types.StatusUnbonding {
			if err := k.unbonding.Set(ctx, collections.Join(m.UnbondingUntil, m.Operator)); err != nil {
				return err
			}
		}
		if err := k.put(ctx, &types.Miner{}, m, g.Params); err != nil {
			return err
		}
	}
	for _, operator := range g.OffRing {
		m, err := k.miners.Get(ctx, operator)
		if err != nil {
			return types.ErrInvalid.Wrapf("miner %.64q is off the ring: %s", operator, err)
		}
		if err := k.offRing(ctx, &m); err != nil {
			return err
		}
	}
	for _, custodian := range g.Keepers {
		if err := k.putCustodian(ctx, custodian); err != nil {
			return err
		}
	}
	if g.CapacityVersion > 0 {
		if err := k.capacityVersion.Set(ctx, g.CapacityVersion); err != nil {
			return err
		}
	}
	if err := k.loadCommittees(ctx, g); err != nil {
		return err
	}
	if err := k.committeeStale.Set(ctx, true); err != nil {
		return err
	}
	return k.CheckInvariants(ctx)
}

// ExportGenesis is the state between two blocks.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	g := &types.GenesisState{}
	var err error
	if g.Params, err = k.params.Get(ctx); err != nil {
		return nil, err
	}
	if g.Miners, err = records.All(ctx, k.miners); err != nil {
		return nil, err
	}
	if g.OffRing, err = k.offRings(ctx, g.Miners, g.Params); err != nil {
		return nil, err
	}
	if g.Keepers, err = records.All(ctx, k.custodians); err != nil {
		return nil, err
	}
	if g.CapacityVersion, err = k.CapacityVersion(ctx); err != nil {
		return nil, err
	}
	return g, k.saveCommittees(ctx, g)
}

// CheckInvariants says which invariant of the module is violated, if any: the module
// account holds at least the bonds, an identity leads to its miner, only open
// miners are on the rings, which are counted, and the regions count exactly the open miners, the
// committees kept are those that are needed and lock their members' stake. True
// between blocks; it reads every miner.
func (k *Keeper) CheckInvariants(ctx context.Context) error {
	bonds := sdkmath.ZeroInt()
	regions, rings := map[string]uint64{}, map[string]uint64{}
	err := k.miners.Walk(ctx, nil, func(operator string, m types.Miner) (bool, error) {
		bonds = bonds.Add(sdkmath.NewIntFromUint64(m.BondUhip))
		if m.Open() {
			regions[m.Region]++
		}
		keys := ringKeys(&m)
		for _, key := range keys {
			has, err := k.rings.Has(ctx, key)
			if err != nil {
				return true, err
			}
			if has && !m.Open() {
				return true, fmt.Errorf("miner %s is on the ring and takes no VMs", operator)
			}
			if has {
				rings[key.K1()]++
			}
		}
		if m.Status == types.StatusGone {
			return false, nil
		}
		holder, err := k.minerIdentities.Get(ctx, m.Identity)
		if err != nil {
			return true, fmt.Errorf("identity of miner %s: %w", operator, err)
		}
		if holder != operator {
			return true, fmt.Errorf("identity of miner %s leads to %s", operator, holder)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if held := k.bank.GetBalance(ctx, k.module, types.Denom).Amount; held.LT(bonds) {
		return fmt.Errorf("the module account holds %s uhip, but %s are bonded", held, bonds)
	}
	err = k.regions.Walk(ctx, nil, func(region string, n uint64) (bool, error) {
		if regions[region] != n {
			return true, fmt.Errorf("region %s counts %d open miners of %d", region, n, regions[region])
		}
		delete(regions, region)
		return false, nil
	})
	if err != nil {
		return err
	}
	if len(regions) != 0 {
		return fmt.Errorf("%d regions with open miners are not counted", len(regions))
	}
	if err := k.checkRings(ctx, rings); err != nil {
		return err
	}
	return k.checkCommittees(ctx)
}
