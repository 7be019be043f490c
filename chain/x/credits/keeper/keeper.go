// Package keeper keeps the credit system's state: balances, the books, the
// reserve behind them. The rules themselves are in core/credit.
package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	corestore "cosmossdk.io/core/store"
	"github.com/cosmos/cosmos-sdk/codec"

	"github.com/hippius/compute/chain/x/credits/types"
)

// feeKey is an account and the place of a transaction in its block.
type feeKey = collections.Pair[string, uint32]

// Keeper is the only thing that moves credits.
type Keeper struct {
	schema     collections.Schema
	params     collections.Item[types.Params]
	totals     collections.Item[types.Totals]
	balances   collections.Map[string, types.Balance]
	references collections.KeySet[string]
	prices     collections.Item[types.Prices]

	// Released in this block and sent on at its end.
	earned   collections.Map[string, uint64]
	served   collections.Map[string, uint64]
	stakers  collections.Item[uint64]
	treasury collections.Item[uint64]
	// Fees that accounts paid in credits in this block, in ucredit: paid is all of an account, paidUpTo those up to a transaction.
	paid     collections.Map[string, uint64]
	paidUpTo collections.Map[feeKey, uint64]

	accounts types.AccountKeeper
	bank     types.BankKeeper
	earnings types.Earnings
	hooks    types.Hooks

	stakersAccount string
	authority      string
}

// Config of a keeper.
type Config struct {
	Codec     codec.BinaryCodec
	Store     corestore.KVStoreService
	Transient corestore.TransientStoreService
	Accounts  types.AccountKeeper
	Bank      types.BankKeeper
	Earnings  types.Earnings
	// StakersAccount is the module account from which validators and stakers are paid.
	StakersAccount string
	// Authority may change parameters.
	Authority string
}

// New is a keeper without hooks; see SetHooks.
func New(c Config) (*Keeper, error) {
	sb := collections.NewSchemaBuilder(c.Store)
	tb := collections.NewSchemaBuilderFromAccessor(c.Transient.OpenTransientStore)
	k := &Keeper{
		params:         collections.NewItem(sb, types.ParamsPrefix(), "params", codec.CollValue[types.Params](c.Codec)),
		totals:         collections.NewItem(sb, types.TotalsPrefix(), "totals", codec.CollValue[types.Totals](c.Codec)),
		balances:       collections.NewMap(sb, types.BalancesPrefix(), "balances", collections.StringKey, codec.CollValue[types.Balance](c.Codec)),
		references:     collections.NewKeySet(sb, types.ReferencesPrefix(), "references", collections.StringKey),
		prices:         collections.NewItem(sb, types.PricesPrefix(), "prices", codec.CollValue[types.Prices](c.Codec)),
		earned:         collections.NewMap(tb, types.EarnedPrefix(), "earned", collections.StringKey, collections.Uint64Value),
		served:         collections.NewMap(tb, types.ServedPrefix(), "served", collections.StringKey, collections.Uint64Value),
		stakers:        collections.NewItem(tb, types.StakersPrefix(), "stakers", collections.Uint64Value),
		treasury:       collections.NewItem(tb, types.TreasuryPrefix(), "treasury", collections.Uint64Value),
		paid:           collections.NewMap(tb, types.PaidPrefix(), "paid", collections.StringKey, collections.Uint64Value),
		paidUpTo:       collections.NewMap(tb, types.PaidUpToPrefix(), "paid_up_to", collections.PairKeyCodec(collections.StringKey, collections.Uint32Key), collections.Uint64Value),
		accounts:       c.Accounts,
		bank:           c.Bank,
		earnings:       c.Earnings,
		stakersAccount: c.StakersAccount,
		authority:      c.Authority,
	}
	var err error
	if k.schema, err = sb.Build(); err != nil {
		return nil, fmt.Errorf("schema of x/credits: %w", err)
	}
	if _, err := tb.Build(); err != nil {
		return nil, fmt.Errorf("transient schema of x/credits: %w", err)
	}
	return k, nil
}

// SetHooks gives the keeper whom to tell; once, while the app is wired.
func (k *Keeper) SetHooks(h types.Hooks) { k.hooks = h }

// Params in force.
func (k *Keeper) Params(ctx context.Context) (types.Params, error) { return k.params.Get(ctx) }

// Totals are the module's books.
func (k *Keeper) Totals(ctx context.Context) (types.Totals, error) { return k.totals.Get(ctx) }

// Balance of an account; zero if it never had credits.
func (k *Keeper) Balance(ctx context.Context, account string) (types.Balance, error) {
	b, err := k.balances.Get(ctx, account)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Balance{Address: account}, nil
	}
	return b, err
}

// Ucredit an account holds.
func (k *Keeper) Ucredit(ctx context.Context, account string) (uint64, error) {
	b, err := k.Balance(ctx, account)
	return b.Ucredit, err
}
