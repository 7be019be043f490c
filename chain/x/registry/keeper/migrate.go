package keeper

import (
	"cmp"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/registry/types"
)

// Migrate1to2 counts the miners on each ring, and gives the parameters that version 1 did not have their defaults. What miners
// offer beyond their bonds counts no more from then on, and they are newcomers until VMs were counted: those that run for long are
// with their next proofs. No failure is counted before it either: what a record may have of whole VMs is not read.
func (k *Keeper) Migrate1to2(ctx sdk.Context) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	d := types.DefaultParams()
	p.EpochSeconds, p.EpochGraceSeconds = cmp.Or(p.EpochSeconds, d.EpochSeconds), cmp.Or(p.EpochGraceSeconds, d.EpochGraceSeconds)
	p.BondPerCoreUhip, p.BondPerMemoryGibUhip, p.BondPerDiskGibUhip = d.BondPerCoreUhip, d.BondPerMemoryGibUhip, d.BondPerDiskGibUhip
	p.NewcomerVms, p.NewcomerProvenVms = d.NewcomerVms, d.NewcomerProvenVms
	if err := k.params.Set(ctx, p); err != nil {
		return err
	}
	return k.countRings(ctx)
}

func (k *Keeper) countRings(ctx sdk.Context) error {
	var regions []string // in the order of the store
	sizes := map[string]uint64{}
	err := k.rings.Walk(ctx, nil, func(key ringKey) (bool, error) {
		if sizes[key.K1()]++; sizes[key.K1()] == 1 {
			regions = append(regions, key.K1())
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	for _, region := range regions {
		if err := k.ringSizes.Set(ctx, region, sizes[region]); err != nil {
			return err
		}
	}
	return nil
}
