// Package keeper keeps the directory of the mesh: tenants' address blocks and
// authorities, devices, revocations, lighthouses. The arithmetic of addresses
// is in core/mesh.
package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	corestore "cosmossdk.io/core/store"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/mesh"
)

// Keeper of the directory.
type Keeper struct {
	schema collections.Schema
	params collections.Item[types.Params]

	tenants        collections.Map[string, types.Tenant]
	tenantsByIndex collections.Map[uint32, string]
	nextIndex      collections.Item[uint32]
	freeIndices    collections.KeySet[uint32]
	// changed has one entry for each tenant, so that followers read only what is new.
	changed  collections.KeySet[collections.Pair[int64, string]]
	releases collections.KeySet[collections.Pair[int64, string]]

	lighthouses         collections.Map[string, types.Lighthouse]
	lighthousesByNumber collections.Map[uint32, string]
	// lighthouseCount is of those in the set; numbers are also taken by those that left not long ago.
	lighthouseCount collections.Item[uint32]
	nextNumber      collections.Item[uint32]
	freeNumbers     collections.KeySet[uint32]
	// expiries of the rent, and frees of addresses that are held, by time and operator.
	expiries, frees collections.KeySet[collections.Pair[int64, string]]
	heldAddresses   collections.Map[string, types.HeldAddress]

	gate      types.CreateGate
	credits   types.Credits
	authority string
}

// Config of a keeper.
type Config struct {
	Codec codec.BinaryCodec
	Store corestore.KVStoreService
	Gate  types.CreateGate
	// Credits that rents are paid from.
	Credits types.Credits
	// Authority may change parameters.
	Authority string
}

// New is a keeper.
func New(c Config) (*Keeper, error) {
	sb := collections.NewSchemaBuilder(c.Store)
	queue := collections.PairKeyCodec(collections.Int64Key, collections.StringKey)
	k := &Keeper{
		params:              collections.NewItem(sb, types.ParamsPrefix(), "params", codec.CollValue[types.Params](c.Codec)),
		tenants:             collections.NewMap(sb, types.TenantsPrefix(), "tenants", collections.StringKey, codec.CollValue[types.Tenant](c.Codec)),
		tenantsByIndex:      collections.NewMap(sb, types.TenantsByIndexPrefix(), "tenants_by_index", collections.Uint32Key, collections.StringValue),
		nextIndex:           collections.NewItem(sb, types.NextIndexPrefix(), "next_index", collections.Uint32Value),
		freeIndices:         collections.NewKeySet(sb, types.FreeIndicesPrefix(), "free_indices", collections.Uint32Key),
		changed:             collections.NewKeySet(sb, types.ChangedPrefix(), "changed", queue),
		releases:            collections.NewKeySet(sb, types.ReleasesPrefix(), "releases", queue),
		lighthouses:         collections.NewMap(sb, types.LighthousesPrefix(), "lighthouses", collections.StringKey, codec.CollValue[types.Lighthouse](c.Codec)),
		lighthousesByNumber: collections.NewMap(sb, types.LighthousesByNumberPrefix(), "lighthouses_by_number", collections.Uint32Key, collections.StringValue),
		lighthouseCount:     collections.NewItem(sb, types.LighthouseCountPrefix(), "lighthouse_count", collections.Uint32Value),
		nextNumber:          collections.NewItem(sb, types.NextNumberPrefix(), "next_number", collections.Uint32Value),
		freeNumbers:         collections.NewKeySet(sb, types.FreeNumbersPrefix(), "free_numbers", collections.Uint32Key),
		expiries:            collections.NewKeySet(sb, types.ExpiriesPrefix(), "expiries", queue),
		frees:               collections.NewKeySet(sb, types.FreesPrefix(), "frees", queue),
		heldAddresses:       collections.NewMap(sb, types.HeldAddressesPrefix(), "held_addresses", collections.StringKey, codec.CollValue[types.HeldAddress](c.Codec)),
		gate:                c.Gate,
		credits:             c.Credits,
		authority:           c.Authority,
	}
	var err error
	if k.schema, err = sb.Build(); err != nil {
		return nil, fmt.Errorf("schema of x/mesh: %w", err)
	}
	return k, nil
}

// Params in force.
func (k *Keeper) Params(ctx context.Context) (types.Params, error) { return k.params.Get(ctx) }

// Tenant with an allocated block; types.ErrNoTenant if the account has none.
func (k *Keeper) Tenant(ctx context.Context, owner string) (types.Tenant, error) {
	t, err := k.load(ctx, owner)
	if errors.Is(err, collections.ErrNotFound) || err == nil && !t.Allocated() {
		return types.Tenant{}, types.ErrNoTenant.Wrapf("account %s has no address block; register a tenant first", owner)
	}
	return t, err
}

// Block of a tenant; types.ErrNoTenant if the account has none.
func (k *Keeper) Block(ctx context.Context, owner string) (mesh.Block, error) {
	t, err := k.Tenant(ctx, owner)
	return t.Block(), err
}

// EndBlock releases blocks that are due, and lighthouses whose rent ended.
func (k *Keeper) EndBlock(ctx context.Context) error {
	if err := k.releaseBlocks(ctx); err != nil {
		return fmt.Errorf("release blocks: %w", err)
	}
	if err := k.expireLighthouses(ctx); err != nil {
		return fmt.Errorf("expire lighthouses: %w", err)
	}
	return nil
}

// put keeps a tenant and notes that followers must see the change.
func (k *Keeper) put(ctx context.Context, t types.Tenant) error {
	if err := k.changed.Remove(ctx, collections.Join(t.ChangedHeight, t.Owner)); err != nil {
		return err
	}
	t.ChangedHeight = max(sdk.UnwrapSDKContext(ctx).BlockHeight(), 1) // a follower begins after 0
	if err := k.changed.Set(ctx, collections.Join(t.ChangedHeight, t.Owner)); err != nil {
		return err
	}
	return k.store(ctx, t)
}

// setRelease moves the tenant's place in the queue of releases; 0 takes it off. The caller keeps the tenant.
func (k *Keeper) setRelease(ctx context.Context, t *types.Tenant, at int64) error {
	if t.ReleaseAt != 0 {
		if err := k.releases.Remove(ctx, collections.Join(t.ReleaseAt, t.Owner)); err != nil {
			return err
		}
	}
	t.ReleaseAt = at
	if at == 0 {
		return nil
	}
	return k.releases.Set(ctx, collections.Join(at, t.Owner))
}

func now(ctx context.Context) int64 { return sdk.UnwrapSDKContext(ctx).BlockTime().Unix() }

func emit(ctx context.Context, event string, attrs ...sdk.Attribute) {
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(event, attrs...))
}
