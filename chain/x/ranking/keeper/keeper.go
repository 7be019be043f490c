// Package keeper keeps what miners earned and pays it out.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"cosmossdk.io/collections"
	corestore "cosmossdk.io/core/store"
	sdkmath "cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/ranking/types"
)

// Keeper books earnings at quality 1: all of a miner's share is its own.
type Keeper struct {
	earnings collections.Map[string, types.Earnings]
	accounts types.AccountKeeper
	bank     types.BankKeeper
}

// New is a keeper over the module's store.
func New(cdc codec.BinaryCodec, store corestore.KVStoreService, accounts types.AccountKeeper, bank types.BankKeeper) (*Keeper, error) {
	sb := collections.NewSchemaBuilder(store)
	k := &Keeper{
		earnings: collections.NewMap(sb, types.EarningsPrefix(), "earnings", collections.StringKey, codec.CollValue[types.Earnings](cdc)),
		accounts: accounts,
		bank:     bank,
	}
	if _, err := sb.Build(); err != nil {
		return nil, fmt.Errorf("schema of x/ranking: %w", err)
	}
	return k, nil
}

// Account is the module account that holds what is not claimed yet.
func (*Keeper) Account() string { return types.ModuleName }

// Earnings of a miner; zero if it never served.
func (k *Keeper) Earnings(ctx context.Context, operator string) (types.Earnings, error) {
	e, err := k.earnings.Get(ctx, operator)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Earnings{Operator: operator}, nil
	}
	return e, err
}

// Accrue books what a miner earned for servedUcredit of consumption. The coins
// must reach the module account in the same block.
func (k *Keeper) Accrue(ctx context.Context, miner string, uhip, servedUcredit uint64) error {
	e, err := k.Earnings(ctx, miner)
	if err != nil {
		return err
	}
	// No overflow: both are parts of the books of x/credits.
	e.AccruedUhip += uhip
	e.ServedUcredit += servedUcredit
	return k.earnings.Set(ctx, miner, e)
}

// Claim pays an operator all that has accrued and says how much, in uhip.
func (k *Keeper) Claim(ctx context.Context, operator string) (uint64, error) {
	to, err := account.Parse("operator", operator)
	if err != nil {
		return 0, types.ErrInvalid.Wrap(err.Error())
	}
	e, err := k.Earnings(ctx, operator)
	if err != nil {
		return 0, err
	}
	uhip := e.AccruedUhip
	if uhip == 0 {
		return 0, types.ErrNothingToClaim.Wrapf("%s has earned nothing since its last claim", operator)
	}
	e.AccruedUhip = 0
	e.ClaimedUhip += uhip
	if err := k.earnings.Set(ctx, operator, e); err != nil {
		return 0, err
	}
	coins := sdk.NewCoins(sdk.NewCoin(types.Denom, sdkmath.NewIntFromUint64(uhip)))
	if err := k.bank.SendCoinsFromModuleToAccount(ctx, types.ModuleName, to, coins); err != nil {
		return 0, fmt.Errorf("pay %d uhip to %s: %w", uhip, operator, err)
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(types.EventClaimed,
		sdk.NewAttribute(types.AttributeOperator, operator),
		sdk.NewAttribute(types.AttributeUhip, strconv.FormatUint(uhip, 10)),
	))
	return uhip, nil
}

// InitGenesis loads the state; the module account must hold what is unclaimed already.
func (k *Keeper) InitGenesis(ctx context.Context, g types.GenesisState) error {
	if err := g.Validate(); err != nil {
		return err
	}
	for _, e := range g.Earnings {
		if err := k.earnings.Set(ctx, e.Operator, e); err != nil {
			return err
		}
	}
	return k.CheckInvariants(ctx)
}

// ExportGenesis is the state between two blocks.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	all, err := records.All(ctx, k.earnings)
	return &types.GenesisState{Earnings: all}, err
}

// CheckInvariants says whether the module account holds exactly what is unclaimed. True between blocks.
func (k *Keeper) CheckInvariants(ctx context.Context) error {
	sum := sdkmath.ZeroInt()
	err := k.earnings.Walk(ctx, nil, func(_ string, e types.Earnings) (bool, error) {
		sum = sum.Add(sdkmath.NewIntFromUint64(e.AccruedUhip))
		return false, nil
	})
	if err != nil {
		return err
	}
	held := k.bank.GetBalance(ctx, k.accounts.GetModuleAddress(types.ModuleName), types.Denom).Amount
	if !held.Equal(sum) {
		return fmt.Errorf("the ranking account holds %s uhip, but %s are unclaimed", held, sum)
	}
	return nil
}
