package keeper

import (
	"context"
	"errors"
	"strconv"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/chain/x/entry"
	"github.com/hippius/compute/core/credit"
)

// EndBlock sends on what the block released: one transfer to the earnings'
// account, one to validators and stakers, one to the treasury, whatever the
// number of accounts and miners. It must run after all that consumes.
func (k *Keeper) EndBlock(ctx context.Context) error {
	miners, err := k.sendEarnings(ctx)
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
	if stakers, err = k.sendOrKeep(ctx, k.stakersAccount, stakers); err != nil {
		return err
	}
	if treasury, err = k.sendOrKeep(ctx, types.TreasuryName, treasury); err != nil {
		return err
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(types.EventReleased,
		sdk.NewAttribute(types.AttributeMiners, strconv.FormatUint(miners, 10)),
		sdk.NewAttribute(types.AttributeStakers, strconv.FormatUint(stakers, 10)),
		sdk.NewAttribute(types.AttributeTreasury, strconv.FormatUint(treasury, 10)),
	))
	return nil
}

// sendEarnings sends on what miners earned in this block, and says how much. What cannot be booked for a miner, or cannot
// be sent, stays in the buffer.
func (k *Keeper) sendEarnings(ctx context.Context) (sent uint64, err error) {
	served, err := entries(ctx, k.served) // every miner that earned also served
	if err != nil {
		return 0, err
	}
	earned, err := entries(ctx, k.earned)
	if err != nil {
		return 0, err
	}
	if len(served) == 0 {
		return 0, nil
	}
	all := uint64(0)
	uhip := make(map[string]uint64, len(earned)) // read by key only
	for _, kv := range earned {
		all += kv.Value // no overflow: they are parts of the books
		uhip[kv.Key] = kv.Value
	}
	if err := errors.Join(k.served.Clear(ctx, nil), k.earned.Clear(ctx, nil)); err != nil {
		return 0, err
	}
	entry.Attempt(ctx, types.ModuleName, "send_released", k.earnings.Account(), func(ctx context.Context) error {
		booked := uint64(0)
		for _, kv := range served {
			accrue := func(ctx context.Context) error { return k.earnings.Accrue(ctx, kv.Key, uhip[kv.Key], kv.Value) }
			if entry.Attempt(ctx, types.ModuleName, "book_earnings", kv.Key, accrue) {
				booked += uhip[kv.Key]
			}
		}
		if err := k.send(ctx, k.earnings.Account(), booked); err != nil {
			return err
		}
		sent = booked
		return nil
	})
	return sent, k.keep(ctx, all-sent)
}

// sendOrKeep sends what was released to a module, and says how much. What cannot be sent stays in the buffer.
func (k *Keeper) sendOrKeep(ctx context.Context, to string, uhip uint64) (sent uint64, err error) {
	if entry.Attempt(ctx, types.ModuleName, "send_released", to, func(ctx context.Context) error { return k.send(ctx, to, uhip) }) {
		return uhip, nil
	}
	return 0, k.keep(ctx, uhip)
}

func (k *Keeper) send(ctx context.Context, to string, uhip uint64) error {
	if uhip == 0 {
		return nil
	}
	return k.bank.SendCoinsFromModuleToModule(ctx, types.ModuleName, to, coins(uhip))
}

// keep books what was released and not sent to the buffer, from which governance can pay it.
func (k *Keeper) keep(ctx context.Context, uhip uint64) error {
	if uhip == 0 {
		return nil
	}
	return k.books(ctx, func(b *credit.Books) error { return b.Add(uhip) })
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
