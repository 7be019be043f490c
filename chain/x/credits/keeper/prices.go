package keeper

import (
	"context"
	"errors"
	"strconv"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/core/credit"
)

// Prices of the last 7 days; the last is in force.
func (k *Keeper) Prices(ctx context.Context) (credit.Prices, error) {
	p, err := k.prices.Get(ctx)
	return types.CorePrices(p.Prices), err
}

// Range is the lowest and the highest price of the last 7 days, in uhip per credit.
func (k *Keeper) Range(ctx context.Context) (lowest, highest uint64, err error) {
	p, err := k.Prices(ctx)
	if err != nil {
		return 0, 0, err
	}
	lowest, highest = p.Range(sdk.UnwrapSDKContext(ctx).BlockTime().Unix())
	return lowest, highest, nil
}

// update puts parameters in force, and a price in them by the rule of its changes.
func (k *Keeper) update(ctx context.Context, p types.Params) error {
	prices, err := k.Prices(ctx)
	if err != nil {
		return err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	next, err := prices.Change(sdkCtx.BlockTime().Unix(), p.UhipPerCredit)
	if err != nil {
		return types.ErrPriceChange.Wrap(err.Error())
	}
	if p.UhipPerCredit != prices.Current() {
		sdkCtx.EventManager().EmitEvent(sdk.NewEvent(types.EventPrice,
			sdk.NewAttribute(types.AttributeUhip, strconv.FormatUint(p.UhipPerCredit, 10)),
		))
	}
	return errors.Join(k.prices.Set(ctx, types.Prices{Prices: types.PricesOf(next)}), k.params.Set(ctx, p))
}
