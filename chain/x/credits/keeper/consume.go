package keeper

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/credits/types"
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
	b.Ucredit -= ucredit
	return k.consume(ctx, b, ucredit, miner)
}

// ChargeFee takes the flat fee of a transaction from its signer.
func (k *Keeper) ChargeFee(ctx context.Context, account string) error {
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	fee := params.FeeUcredit
	if fee == 0 {
		return nil
	}
	b, err := k.Balance(ctx, account)
	if err != nil {
		return err
	}
	if b.Ucredit < fee {
		return types.ErrInsufficient.Wrapf("%s has %s credits and the transaction costs %s; %s are missing: buy some with 'hippius billing buy', or send MsgBuy alone, which pays for itself",
			account, credit.Format(b.Ucredit), credit.Format(fee), credit.Format(fee-b.Ucredit))
	}
	b.Ucredit -= fee
	b.FeesSincePurchase += min(fee, math.MaxUint64-b.FeesSincePurchase)
	return k.consume(ctx, b, fee, "")
}

// consume stores the reduced balance and releases what was behind the difference.
func (k *Keeper) consume(ctx context.Context, b types.Balance, ucredit uint64, miner string) error {
	if err := k.balances.Set(ctx, b.Address, b); err != nil {
		return err
	}
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	return k.release(ctx, b.Address, ucredit, miner, params)
}

// release books ucredit of an account as consumed and notes what it releases, to be sent at the end of the block.
func (k *Keeper) release(ctx context.Context, account string, ucredit uint64, miner string, params types.Params) error {
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(types.EventConsumed,
		sdk.NewAttribute(types.AttributeAccount, account),
		sdk.NewAttribute(types.AttributeMiner, miner),
		sdk.NewAttribute(types.AttributeUcredit, strconv.FormatUint(ucredit, 10)),
	))
	totals, err := k.totals.Get(ctx)
	if err != nil {
		return err
	}
	books := totals.Books()
	r, err := books.Consume(ucredit, params.UhipPerCredit, params.Shares(), miner != "")
	if err != nil {
		return fmt.Errorf("consume %d ucredit: %w", ucredit, err)
	}
	if err := k.totals.Set(ctx, types.TotalsOf(books)); err != nil {
		return err
	}
	err = errors.Join(addItem(ctx, k.stakers, r.Stakers), addItem(ctx, k.treasury, r.Treasury))
	if miner != "" {
		err = errors.Join(err, addMap(ctx, k.earned, miner, r.Miner), addMap(ctx, k.served, miner, ucredit))
	}
	return err
}

// addItem and addMap cannot overflow: the sums are parts of the books.
func addItem(ctx context.Context, item collections.Item[uint64], v uint64) error {
	old, err := item.Get(ctx)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return err
	}
	return item.Set(ctx, old+v)
}

func addMap(ctx context.Context, m collections.Map[string, uint64], key string, v uint64) error {
	old, err := m.Get(ctx, key)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return err
	}
	return m.Set(ctx, key, old+v)
}
