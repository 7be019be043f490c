package keeper

import (
	"context"
	"fmt"
	"strconv"

	"cosmossdk.io/collections"
	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

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

// releaseBonds returns the bonds that are due, oldest first.
func (k *Keeper) releaseBonds(ctx context.Context) error {
	due, err := records.Due(ctx, k.unbonding, now(ctx), maxReleases)
	if err != nil {
		return err
	}
	for _, key := range due {
		if err := k.unbonding.Remove(ctx, key); err != nil {
			return err
		}
		if err := k.releaseBond(ctx, key.K2()); err != nil {
			return fmt.Errorf("miner %s: %w", key.K2(), err)
		}
	}
	return nil
}

func (k *Keeper) releaseBond(ctx context.Context, operator string) error {
	m, err := k.Miner(ctx, operator)
	if err != nil {
		return err
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
