package keeper

import (
	"fmt"

	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/chain/x/internal/records"
)

// Migrate1to2 shares out a reserve that was common to all: each account's backing is its part by its balance, rounded
// down, and the rest is the buffer. The price in force is the first of the prices, and gas and bytes get their fees.
func (k *Keeper) Migrate1to2(ctx sdk.Context) error {
	totals, err := k.totals.Get(ctx)
	if err != nil {
		return err
	}
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	balances, err := records.All(ctx, k.balances)
	if err != nil {
		return err
	}
	totals.BufferUhip = totals.ReserveUhip
	reserve, outstanding := sdkmath.NewIntFromUint64(totals.ReserveUhip), sdkmath.NewIntFromUint64(totals.Books().Outstanding())
	for _, b := range balances {
		if b.Ucredit == 0 {
			continue
		}
		b.BackingUhip = reserve.Mul(sdkmath.NewIntFromUint64(b.Ucredit)).Quo(outstanding).Uint64() // at most the reserve
		totals.BufferUhip -= b.BackingUhip
		if err := k.balances.Set(ctx, b.Address, b); err != nil {
			return fmt.Errorf("backing of %s: %w", b.Address, err)
		}
	}
	if err := k.totals.Set(ctx, totals); err != nil {
		return err
	}
	fees := types.DefaultParams()
	params.FeePerMillionGasUcredit, params.FeePerKibUcredit = fees.FeePerMillionGasUcredit, fees.FeePerKibUcredit
	if err := k.params.Set(ctx, params); err != nil {
		return err
	}
	return k.prices.Set(ctx, types.Prices{Prices: []types.Price{{UhipPerCredit: params.UhipPerCredit}}})
}
