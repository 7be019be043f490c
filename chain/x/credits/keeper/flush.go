package keeper

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/credits/types"
)

// EndBlock sends on what the block released: one transfer to the earnings'
// account, one to validators and stakers, one to the treasury, whatever the
// number of accounts and miners. It must run after all that consumes.
func (k *Keeper) EndBlock(ctx context.Context) error {
	miners, err := k.flushEarnings(ctx)
	if err != nil {
		return err
	}
	stakers, err := takeItem(ctx, k.stakers)
	if err != nil {
		return err
	}
	treasury, err := takeItem(ctx, k.treasury)
	if err != nil {
		return err
	}
	if miners == 0 && stakers == 0 && treasury == 0 {
		return nil
	}
	for _, t := range []struct {
		to   string
		uhip uint64
	}{{k.earnings.Account(), miners}, {k.stakersAccount, stakers}, {types.TreasuryName, treasury}} {
		if t.uhip == 0 {
			continue
		}
		if err := k.bank.SendCoinsFromModuleToModule(ctx, types.ModuleName, t.to, coins(t.uhip)); err != nil {
			return fmt.Errorf("send %d uhip to %s: %w", t.uhip, t.to, err)
		}
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(types.EventReleased,
		sdk.NewAttribute(types.AttributeMiners, strconv.FormatUint(miners, 10)),
		sdk.NewAttribute(types.AttributeStakers, strconv.FormatUint(stakers, 10)),
		sdk.NewAttribute(types.AttributeTreasury, strconv.FormatUint(treasury, 10)),
	))
	return nil
}

// flushEarnings books what each miner earned in this block and sums it up.
func (k *Keeper) flushEarnings(ctx context.Context) (uint64, error) {
	var miners uint64
	served, err := entries(ctx, k.served) // every miner that earned also served
	if err != nil {
		return 0, err
	}
	for _, kv := range served {
		uhip, err := k.earned.Get(ctx, kv.Key)
		if err != nil {
			return 0, fmt.Errorf("earnings of %s: %w", kv.Key, err)
		}
		if err := k.earnings.Accrue(ctx, kv.Key, uhip, kv.Value); err != nil {
			return 0, fmt.Errorf("earnings of %s: %w", kv.Key, err)
		}
		miners += uhip
		if err := errors.Join(k.earned.Remove(ctx, kv.Key), k.served.Remove(ctx, kv.Key)); err != nil {
			return 0, err
		}
	}
	return miners, nil
}

// entries are a small map's, in the order of their keys.
func entries(ctx context.Context, m collections.Map[string, uint64]) ([]collections.KeyValue[string, uint64], error) {
	it, err := m.Iterate(ctx, nil)
	if err != nil {
		return nil, err
	}
	return it.KeyValues() // closes it
}

func takeItem(ctx context.Context, item collections.Item[uint64]) (uint64, error) {
	v, err := item.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return v, item.Remove(ctx)
}
