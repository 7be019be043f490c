package keeper

import (
	"context"
	"fmt"

	sdkmath "cosmossdk.io/math"

	"github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/chain/x/internal/records"
)

// InitGenesis loads the state; the module account must hold the reserve already.
func (k *Keeper) InitGenesis(ctx context.Context, g types.GenesisState) error {
	if err := g.Validate(); err != nil {
		return err
	}
	if err := k.params.Set(ctx, g.Params); err != nil {
		return err
	}
	if err := k.totals.Set(ctx, g.Totals); err != nil {
		return err
	}
	prices := g.Prices
	if len(prices) == 0 {
		prices = []types.Price{{UhipPerCredit: g.Params.UhipPerCredit}}
	}
	if err := k.prices.Set(ctx, types.Prices{Prices: prices}); err != nil {
		return err
	}
	for _, b := range g.Balances {
		if err := k.balances.Set(ctx, b.Address, b); err != nil {
			return err
		}
	}
	for _, r := range g.References {
		if err := k.references.Set(ctx, r); err != nil {
			return err
		}
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
	if g.Totals, err = k.totals.Get(ctx); err != nil {
		return nil, err
	}
	prices, err := k.prices.Get(ctx)
	if err != nil {
		return nil, err
	}
	g.Prices = prices.Prices
	if g.Balances, err = records.All(ctx, k.balances); err != nil {
		return nil, err
	}
	refs, err := k.references.Iterate(ctx, nil)
	if err != nil {
		return nil, err
	}
	g.References, err = refs.Keys()
	return g, err
}

// CheckInvariants says which invariant of the module is violated, if any: the books
// agree with themselves, the balances are what is outstanding and their backings
// with the buffer the reserve, the module account holds exactly the reserve, and
// the price of the parameters is the last one. True between blocks; it reads
// every balance.
func (k *Keeper) CheckInvariants(ctx context.Context) error {
	totals, err := k.totals.Get(ctx)
	if err != nil {
		return err
	}
	books := totals.Books()
	if err := books.Check(); err != nil {
		return fmt.Errorf("books of x/credits: %w", err)
	}
	sum, backing := sdkmath.ZeroInt(), sdkmath.ZeroInt()
	err = k.balances.Walk(ctx, nil, func(_ string, b types.Balance) (bool, error) {
		sum = sum.Add(sdkmath.NewIntFromUint64(b.Ucredit))
		backing = backing.Add(sdkmath.NewIntFromUint64(b.BackingUhip))
		return false, nil
	})
	if err != nil {
		return err
	}
	if want := sdkmath.NewIntFromUint64(books.Outstanding()); !sum.Equal(want) {
		return fmt.Errorf("accounts hold %s ucredit, but %s are outstanding", sum, want)
	}
	if want := sdkmath.NewIntFromUint64(books.Backing()); !backing.Equal(want) {
		return fmt.Errorf("accounts' credits are backed by %s uhip, but the reserve less the buffer is %s", backing, want)
	}
	held := k.bank.GetBalance(ctx, k.accounts.GetModuleAddress(types.ModuleName), types.Denom).Amount
	if want := sdkmath.NewIntFromUint64(books.Reserve); !held.Equal(want) {
		return fmt.Errorf("the module account holds %s uhip, but the reserve is %s", held, want)
	}
	return k.checkPrices(ctx)
}

func (k *Keeper) checkPrices(ctx context.Context) error {
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	prices, err := k.Prices(ctx)
	if err != nil {
		return err
	}
	if err := prices.Validate(); err != nil {
		return fmt.Errorf("prices of x/credits: %w", err)
	}
	if prices.Current() != params.UhipPerCredit {
		return fmt.Errorf("the last price is %d uhip, that of the parameters %d", prices.Current(), params.UhipPerCredit)
	}
	return nil
}
