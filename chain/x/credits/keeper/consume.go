package keeper

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/core/credit"
)

// Consume takes ucredit from an account for what a miner served, or for
// nobody's service with an empty miner, and releases the coins behind it. The
// coins move at the end of the block.
func (k *Keeper) Consume(ctx context.Context, account string, ucredit uint64, miner string) error {
	if ucredit == 0 {
		return nil
	}
	b, err := k.Balance(ctx, account)
	if err != nil {
		return err
	}
	if b.Ucredit < ucredit {
		return types.ErrInsufficient.Wrapf("%s has %s credits and would use %s", account, credit.Format(b.Ucredit), credit.Format(ucredit))
	}
	return k.consume(ctx, b, ucredit, miner)
}

// consume takes ucredit, which the balance has, and releases what is behind it.
func (k *Keeper) consume(ctx context.Context, b types.Balance, ucredit uint64, miner string) error {
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	from := b.Core()
	if err := k.release(ctx, b.Address, &from, ucredit, miner, params); err != nil {
		return err
	}
	return k.balances.Set(ctx, b.Address, types.BalanceOf(b.Address, from))
}

// release books ucredit of an account's balance as consumed and notes what it releases, to be sent at the end of the block.
func (k *Keeper) release(ctx context.Context, account string, from *credit.Balance, ucredit uint64, miner string, params types.Params) error {
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(types.EventConsumed,
		sdk.NewAttribute(types.AttributeAccount, account),
		sdk.NewAttribute(types.AttributeMiner, miner),
		sdk.NewAttribute(types.AttributeUcredit, strconv.FormatUint(ucredit, 10)),
	))
	lowest, _, err := k.Range(ctx)
	if err != nil {
		return err
	}
	var r credit.Release
	err = k.books(ctx, func(b *credit.Books) error {
		r, err = b.Consume(from, ucredit, lowest, params.Shares(), miner != "")
		return err
	})
	if err != nil {
		return fmt.Errorf("consume %d ucredit: %w", ucredit, err)
	}
	err = errors.Join(addItem(ctx, k.stakers, r.Stakers), addItem(ctx, k.treasury, r.Treasury))
	if miner != "" {
		err = errors.Join(err, addMap(ctx, k.earned, miner, r.Miner), addMap(ctx, k.served, miner, ucredit))
	}
	return err
}

// addItem and addMap cannot overflow: the sums are parts of the books.
func addItem(ctx context.Context, item collections.Item[uint64], v uint64) error {
	old, err := records.OrZero(item.Get(ctx))
	if err != nil {
		return err
	}
	return item.Set(ctx, old+v)
}

func addMap(ctx context.Context, m collections.Map[string, uint64], key string, v uint64) error {
	old, err := records.OrZero(m.Get(ctx, key))
	if err != nil {
		return err
	}
	return m.Set(ctx, key, old+v)
}
