package keeper

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/marketplace/types"
	"github.com/hippius/compute/core/plan"
)

// Plan on offer, or ErrUnknownPlan with the names there are.
func (k *Keeper) Plan(ctx context.Context, name string) (types.Plan, error) {
	return find(ctx, k.plans, name, types.ErrUnknownPlan)
}

// Image on offer, or ErrUnknownImage with the names there are.
func (k *Keeper) Image(ctx context.Context, name string) (types.Image, error) {
	return find(ctx, k.images, name, types.ErrUnknownImage)
}

// App on offer, or ErrUnknownApp with the names there are.
func (k *Keeper) App(ctx context.Context, name string) (types.App, error) {
	return find(ctx, k.apps, name, types.ErrUnknownApp)
}

// Quote prices a plan, in ucredit per hour running and stopped.
func (k *Keeper) Quote(ctx context.Context, planName string) (running, stopped uint64, err error) {
	p, err := k.Plan(ctx, planName)
	if err != nil {
		return 0, 0, err
	}
	return k.Price(ctx, p.Core().Size)
}

// Price is what a size costs that need not be a plan's, in ucredit per hour running and stopped.
func (k *Keeper) Price(ctx context.Context, size plan.Size) (running, stopped uint64, err error) {
	params, err := k.params.Get(ctx)
	if err != nil {
		return 0, 0, err
	}
	r, err := params.Prices().Quote(size)
	if err != nil {
		return 0, 0, types.ErrInvalid.Wrap(err.Error())
	}
	return r.Running, r.Stopped, nil
}

// maxNamed bounds the names an error lists.
const maxNamed = 20

// find is an entry of the catalogue, or the error with what there is instead.
func find[V any](ctx context.Context, m collections.Map[string, V], name string, unknown *errorsmod.Error) (V, error) {
	v, err := m.Get(ctx, name)
	if !errors.Is(err, collections.ErrNotFound) {
		return v, err
	}
	it, err := m.Iterate(ctx, nil)
	if err != nil {
		return v, err
	}
	defer func() { _ = it.Close() }()
	var names []string
	for ; it.Valid() && len(names) < maxNamed; it.Next() {
		key, err := it.Key()
		if err != nil {
			return v, err
		}
		names = append(names, key)
	}
	return v, unknown.Wrapf("%.40q is not offered; there are: %s", name, strings.Join(names, ", "))
}

// allPlans in the order of listings.
func (k *Keeper) allPlans(ctx context.Context) ([]plan.Plan, error) {
	stored, err := records.All(ctx, k.plans)
	if err != nil {
		return nil, err
	}
	out := make([]plan.Plan, 0, len(stored))
	for _, p := range stored {
		out = append(out, p.Core())
	}
	plan.Sort(out)
	return slices.Clip(out), nil
}

// put adds or replaces an entry, of which there are at most MaxEntries.
func put[V any](ctx context.Context, m collections.Map[string, V], kind, name string, v V) error {
	known, err := m.Has(ctx, name)
	if err != nil {
		return err
	}
	if !known {
		there, err := records.All(ctx, m)
		if err != nil {
			return err
		}
		if len(there) >= types.MaxEntries {
			return types.ErrInvalid.Wrapf("the catalogue has %d entries of kind %s, and no more are accepted: remove one first", len(there), kind)
		}
	}
	return m.Set(ctx, name, v)
}

// change puts or removes an entry of the catalogue.
func change[V any](ctx context.Context, m collections.Map[string, V], kind, name string, v V, remove bool, unknown *errorsmod.Error) error {
	if remove {
		if _, err := find(ctx, m, name, unknown); err != nil {
			return err
		}
		if err := m.Remove(ctx, name); err != nil {
			return err
		}
	} else if err := put(ctx, m, kind, name, v); err != nil {
		return err
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(types.EventCatalogue,
		sdk.NewAttribute(types.AttributeKind, kind),
		sdk.NewAttribute(types.AttributeName, name),
		sdk.NewAttribute(types.AttributeRemoved, strconv.FormatBool(remove)),
	))
	return nil
}
