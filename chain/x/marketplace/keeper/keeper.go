// Package keeper keeps the catalogue and the accounts' meters. The rules are
// in core/plan and core/credit.
package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"
	corestore "cosmossdk.io/core/store"
	"github.com/cosmos/cosmos-sdk/codec"

	"github.com/hippius/compute/chain/x/marketplace/types"
)

type dueKey = collections.Pair[int64, string]

// Keeper of the catalogue and the meters.
type Keeper struct {
	params collections.Item[types.Params]
	plans  collections.Map[string, types.Plan]
	images collections.Map[string, types.Image]
	apps   collections.Map[string, types.App]
	meters collections.Map[string, types.Meter]
	// due holds every meter with something to do, by the second it is looked at.
	due collections.KeySet[dueKey]

	credits   types.CreditsKeeper
	hooks     types.Hooks
	authority string
}

// New is a keeper without hooks; see SetHooks.
func New(cdc codec.BinaryCodec, store corestore.KVStoreService, credits types.CreditsKeeper, authority string) (*Keeper, error) {
	sb := collections.NewSchemaBuilder(store)
	k := &Keeper{
		params: collections.NewItem(sb, types.ParamsPrefix(), "params", codec.CollValue[types.Params](cdc)),
		plans:  collections.NewMap(sb, types.PlansPrefix(), "plans", collections.StringKey, codec.CollValue[types.Plan](cdc)),
		images: collections.NewMap(sb, types.ImagesPrefix(), "images", collections.StringKey, codec.CollValue[types.Image](cdc)),
		apps:   collections.NewMap(sb, types.AppsPrefix(), "apps", collections.StringKey, codec.CollValue[types.App](cdc)),
		meters: collections.NewMap(sb, types.MetersPrefix(), "meters", collections.StringKey, codec.CollValue[types.Meter](cdc)),
		due: collections.NewKeySet(sb, types.DuePrefix(), "due",
			collections.PairKeyCodec(collections.Int64Key, collections.StringKey)),
		credits:   credits,
		authority: authority,
	}
	if _, err := sb.Build(); err != nil {
		return nil, fmt.Errorf("schema of x/marketplace: %w", err)
	}
	return k, nil
}

// SetHooks gives the keeper whom to tell of run-outs; once, while the app is wired.
func (k *Keeper) SetHooks(h types.Hooks) { k.hooks = h }

// Params in force.
func (k *Keeper) Params(ctx context.Context) (types.Params, error) { return k.params.Get(ctx) }
