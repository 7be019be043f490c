package keeper

import sdk "github.com/cosmos/cosmos-sdk/types"

// Migrate1to2 counts the miners on each ring.
func (k *Keeper) Migrate1to2(ctx sdk.Context) error {
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
