// Package keeper keeps who offers capacity and who keeps secrets: miners with
// their bonds and what is taken of them, keepers and their committee.
package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	corestore "cosmossdk.io/core/store"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/entry"
	"github.com/hippius/compute/chain/x/registry/types"
)

// Keeper of miners and of share custodians: the keepers of secrets, which have another name here because a keeper is the SDK's word
// for what this is.
type Keeper struct {
	schema collections.Schema
	params collections.Item[types.Params]

	miners          collections.Map[string, types.Miner]
	minerIdentities collections.Map[[]byte, string]
	// rings holds the open miners with available capacity, by region ("" for all), place on the ring and operator.
	rings     collections.KeySet[collections.Triple[string, uint64, string]]
	regions   collections.Map[string, uint64]
	ringSizes collections.Map[string, uint64]
	unbonding collections.KeySet[collections.Pair[int64, string]]
	// capacityVersion rises whenever the available capacity of a miner grew.
	capacityVersion collections.Item[uint64]

	custodians          collections.Map[string, types.Keeper]
	custodianIdentities collections.Map[[]byte, string]
	committee           collections.Item[types.Committee]
	committeeStale      collections.Item[bool]
	// former committees by epoch; replaced are those that still take deals, by the time; live counts the instances dealt to each.
	former   collections.Map[uint64, types.Committee]
	replaced collections.KeySet[collections.Pair[int64, uint64]]
	live     collections.Map[uint64, uint64]
	locks    collections.Map[string, types.KeeperLock]

	bank      types.BankKeeper
	staking   types.StakingKeeper
	module    sdk.AccAddress
	authority string
}

// Config of a keeper.
type Config struct {
	Codec   codec.BinaryCodec
	Store   corestore.KVStoreService
	Bank    types.BankKeeper
	Staking types.StakingKeeper
	// Module is the address of the module account that holds the bonds.
	Module sdk.AccAddress
	// Authority may change parameters.
	Authority string
}

// New is a keeper. The app passes Hooks to x/staking and puts the module after it at the end of a block.
func New(c Config) (*Keeper, error) {
	sb := collections.NewSchemaBuilder(c.Store)
	k := &Keeper{
		params:          collections.NewItem(sb, types.ParamsPrefix(), "params", codec.CollValue[types.Params](c.Codec)),
		miners:          collections.NewMap(sb, types.MinersPrefix(), "miners", collections.StringKey, codec.CollValue[types.Miner](c.Codec)),
		minerIdentities: collections.NewMap(sb, types.MinerIdentitiesPrefix(), "miner_identities", collections.BytesKey, collections.StringValue),
		rings: collections.NewKeySet(sb, types.RingsPrefix(), "rings",
			collections.TripleKeyCodec(collections.StringKey, collections.Uint64Key, collections.StringKey)),
		regions:   collections.NewMap(sb, types.RegionsPrefix(), "regions", collections.StringKey, collections.Uint64Value),
		ringSizes: collections.NewMap(sb, types.RingSizesPrefix(), "ring_sizes", collections.StringKey, collections.Uint64Value),
		unbonding: collections.NewKeySet(sb, types.UnbondingPrefix(), "unbonding",
			collections.PairKeyCodec(collections.Int64Key, collections.StringKey)),
		capacityVersion:     collections.NewItem(sb, types.CapacityVersionPrefix(), "room_version", collections.Uint64Value),
		custodians:          collections.NewMap(sb, types.CustodiansPrefix(), "keepers", collections.StringKey, codec.CollValue[types.Keeper](c.Codec)),
		custodianIdentities: collections.NewMap(sb, types.CustodianIdentitiesPrefix(), "keeper_identities", collections.BytesKey, collections.StringValue),
		committee:           collections.NewItem(sb, types.CommitteePrefix(), "committee", codec.CollValue[types.Committee](c.Codec)),
		committeeStale:      collections.NewItem(sb, types.CommitteeStalePrefix(), "committee_stale", collections.BoolValue),
		former:              collections.NewMap(sb, types.FormerCommitteesPrefix(), "former_committees", collections.Uint64Key, codec.CollValue[types.Committee](c.Codec)),
		replaced: collections.NewKeySet(sb, types.ReplacedCommitteesPrefix(), "replaced_committees",
			collections.PairKeyCodec(collections.Int64Key, collections.Uint64Key)),
		live:      collections.NewMap(sb, types.LiveInstancesPrefix(), "live_instances", collections.Uint64Key, collections.Uint64Value),
		locks:     collections.NewMap(sb, types.KeeperLocksPrefix(), "keeper_locks", collections.StringKey, codec.CollValue[types.KeeperLock](c.Codec)),
		bank:      c.Bank,
		staking:   c.Staking,
		module:    c.Module,
		authority: c.Authority,
	}
	var err error
	if k.schema, err = sb.Build(); err != nil {
		return nil, fmt.Errorf("schema of x/registry: %w", err)
	}
	return k, nil
}

// Params in force.
func (k *Keeper) Params(ctx context.Context) (types.Params, error) { return k.params.Get(ctx) }

// Miner of an operator; types.ErrUnknownMiner if there is none.
func (k *Keeper) Miner(ctx context.Context, operator string) (types.Miner, error) {
	m, err := k.miners.Get(ctx, operator)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Miner{}, types.ErrUnknownMiner.Wrapf("account %s has not registered a miner", operator)
	}
	return m, err
}

// setParams keeps new parameters and lets what depends on them be computed anew.
func (k *Keeper) setParams(ctx context.Context, p types.Params) error {
	if err := k.params.Set(ctx, p); err != nil {
		return err
	}
	if err := k.capacityGrew(ctx); err != nil {
		return err
	}
	return k.committeeStale.Set(ctx, true)
}

// EndBlock returns bonds that are due and computes the committee anew if something it depends on changed.
func (k *Keeper) EndBlock(ctx context.Context) error {
	if err := k.releaseBonds(ctx); err != nil {
		return fmt.Errorf("release bonds: %w", err)
	}
	if !entry.Attempt(ctx, types.ModuleName, "refresh_committee", "present", k.refreshCommittee) {
		// Not in every block: when something changes that it depends on.
		if err := k.committeeStale.Remove(ctx); err != nil {
			return fmt.Errorf("keeper committee: %w", err)
		}
	}
	if err := k.retireCommittees(ctx); err != nil {
		return fmt.Errorf("former keeper committees: %w", err)
	}
	return nil
}

func now(ctx context.Context) int64 { return sdk.UnwrapSDKContext(ctx).BlockTime().Unix() }

func emit(ctx context.Context, event string, attrs ...sdk.Attribute) {
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(event, attrs...))
}
