package keeper

import (
	"context"
	"strconv"

	"cosmossdk.io/collections"
	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/entry"
	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/registry/types"
)

// maxReleases bounds the bonds returned in one block; the rest follows in the next.
const maxReleases = 50

// Unbond begins the return of a miner's bond.
func (k *Keeper) Unbond(ctx context.Context, operator string) error {
	m, err := k.Miner(ctx, operator)
	if err != nil {
		return err
	}
	if m.Status != types.StatusActive && m.Status != types.StatusDraining {
		return types.ErrStatus.Wrapf("miner %s is %s; unbonding needs it to be active or draining", operator, m.Status.Word())
	}
	if m.Usage.Vms > 0 {
		return types.ErrHoldsVMs.Wrapf("miner %s holds %d VMs; drain it and wait until they are gone", operator, m.Usage.Vms)
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	old := m
	m.Status = types.StatusUnbonding
	m.UnbondingUntil = now(ctx) + int64(p.UnbondingSeconds)
	if err := k.unbonding.Set(ctx, collections.Join(m.UnbondingUntil, operator)); err != nil {
		return err
	}
	if err := k.put(ctx, &old, m, p); err != nil {
		return err
	}
	emit(ctx, types.EventMinerUnbonding,
		sdk.NewAttribute(types.AttributeOperator, operator),
		sdk.NewAttribute(types.AttributeBond, strconv.FormatUint(m.BondUhip, 10)),
		sdk.NewAttribute(types.AttributeUntil, strconv.FormatInt(m.UnbondingUntil, 10)))
	return nil
}

// retrySeconds until a bond that could not be returned is tried again.
const retrySeconds = 3600

// releaseBonds returns the bonds that are due, oldest first. One that cannot be returned is tried again later.
func (k *Keeper) releaseBonds(ctx context.Context) error {
	due, err := records.Due(ctx, k.unbonding, now(ctx), maxReleases)
	if err != nil {
		return err
	}
	for _, key := range due {
		if err := k.unbonding.Remove(ctx, key); err != nil {
			return err
		}
		release := func(ctx context.Context) error { return k.releaseBond(ctx, key) }
		if entry.Attempt(ctx, types.ModuleName, "release_bond", key.K2(), release) {
			continue
		}
		if err := k.retryBond(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// retryBond puts a miner whose bond could not be returned back into the queue. What is in the queue without such a
// miner is not put back.
func (k *Keeper) retryBond(ctx context.Context, key collections.Pair[int64, string]) error {
	m, err := k.miners.Get(ctx, key.K2())
	if err != nil || m.Status != types.StatusUnbonding || m.UnbondingUntil != key.K1() {
		return nil //nolint:nilerr // the failure was noted, and without a record there is no bond
	}
	m.UnbondingUntil = now(ctx) + retrySeconds
	if err := k.unbonding.Set(ctx, collections.Join(m.UnbondingUntil, m.Operator)); err != nil {
		return err
	}
	return k.miners.Set(ctx, m.Operator, m)
}

func (k *Keeper) releaseBond(ctx context.Context, due collections.Pair[int64, string]) error {
	operator := due.K2()
	m, err := k.Miner(ctx, operator)
	if err != nil {
		return err
	}
	if m.Status != types.StatusUnbonding || m.UnbondingUntil != due.K1() {
		return types.ErrStatus.Wrapf("miner %s is %s until %d; its bond is not due", operator, m.Status.Word(), m.UnbondingUntil)
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	addr, err := account.Parse("operator", operator)
	if err != nil {
		return err
	}
	bond := m.BondUhip
	if bond > 0 {
		coins := sdk.NewCoins(sdk.NewCoin(types.Denom, sdkmath.NewIntFromUint64(bond)))
		if err := k.bank.SendCoinsFromModuleToAccount(ctx, types.ModuleName, addr, coins); err != nil {
			return err
		}
	}
	if err := k.minerIdentities.Remove(ctx, m.Identity); err != nil {
		return err
	}
	old := m
	m.Status, m.BondUhip, m.UnbondingUntil = types.StatusGone, 0, 0
	if err := k.put(ctx, &old, m, p); err != nil {
		return err
	}
	emit(ctx, types.EventMinerGone,
		sdk.NewAttribute(types.AttributeOperator, operator),
		sdk.NewAttribute(types.AttributeBond, strconv.FormatUint(bond, 10)))
	return nil
}
