package keeper

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"cosmossdk.io/collections"
	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/node"
)

// Register registers a miner, or replaces what a registered one offers and adds to its bond.
func (k *Keeper) Register(ctx context.Context, m *types.MsgRegisterMiner) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	old, err := k.miners.Get(ctx, m.Operator)
	known := err == nil
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return err
	}
	if known && old.Status == types.StatusUnbonding {
		return types.ErrStatus.Wrapf("miner %s is unbonding until unix second %d; register again after that", m.Operator, old.UnbondingUntil)
	}
	if holder, err := k.minerIdentities.Get(ctx, m.Identity); err == nil && holder != m.Operator {
		return types.ErrIdentityTaken.Wrapf("identity key %x belongs to miner %s; each miner needs its own", m.Identity, holder)
	} else if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return err
	}
	if old.BondUhip+m.BondUhip < p.MinBondUhip { // both bounded far below overflow
		return types.ErrBond.Wrapf("the bond would be %d uhip; at least %d are needed, %d more", old.BondUhip+m.BondUhip, p.MinBondUhip, p.MinBondUhip-old.BondUhip-m.BondUhip)
	}
	if err := k.takeBond(ctx, m.Operator, m.BondUhip); err != nil {
		return err
	}

	miner := types.Miner{
		Operator: m.Operator, Name: m.Name, Identity: m.Identity, Roles: m.Roles, Endpoint: m.Endpoint, Region: m.Region,
		Capacity: m.Capacity, BondUhip: old.BondUhip + m.BondUhip, Usage: old.Usage,
		Status: types.StatusActive, RegisteredAt: now(ctx), LastSeen: now(ctx), Version: m.Version, Record: old.Record,
	}
	if known && old.Status != types.StatusGone {
		miner.Status, miner.RegisteredAt = old.Status, old.RegisteredAt
		if !bytes.Equal(old.Identity, m.Identity) {
			if err := k.minerIdentities.Remove(ctx, old.Identity); err != nil {
				return err
			}
		}
	}
	if err := k.minerIdentities.Set(ctx, m.Identity, m.Operator); err != nil {
		return err
	}
	if err := k.put(ctx, &old, miner, p); err != nil {
		return err
	}
	emit(ctx, types.EventMinerRegistered,
		sdk.NewAttribute(types.AttributeOperator, m.Operator),
		sdk.NewAttribute(types.AttributeRegion, m.Region),
		sdk.NewAttribute(types.AttributeBond, strconv.FormatUint(miner.BondUhip, 10)))
	return k.capacityGrew(ctx)
}

func (k *Keeper) takeBond(ctx context.Context, operator string, uhip uint64) error {
	if uhip == 0 {
		return nil
	}
	addr, err := account.Parse("operator", operator)
	if err != nil {
		return types.ErrInvalid.Wrap(err.Error())
	}
	coin := sdk.NewCoin(types.Denom, sdkmath.NewIntFromUint64(uhip))
	if has := k.bank.SpendableCoin(ctx, addr, types.Denom); has.Amount.LT(coin.Amount) {
		return types.ErrBondFunds.Wrapf("%s has %s to spend; %s are to be bonded", operator, has, coin)
	}
	return k.bank.SendCoinsFromAccountToModule(ctx, addr, types.ModuleName, sdk.NewCoins(coin))
}

// Drain stops new assignments to a miner; with undo it takes new ones again.
func (k *Keeper) Drain(ctx context.Context, operator string, undo bool) error {
	m, err := k.Miner(ctx, operator)
	if err != nil {
		return err
	}
	from, to, event := types.StatusActive, types.StatusDraining, types.EventMinerDraining
	if undo {
		from, to, event = to, from, types.EventMinerResumed
	}
	if m.Status == to {
		return types.ErrStatus.Wrapf("miner %s is %s already", operator, m.Status.Word())
	}
	if m.Status != from {
		return types.ErrStatus.Wrapf("miner %s is %s; only one that is active can be drained, and only one that drains take VMs again", operator, m.Status.Word())
	}
	old := m
	m.Status = to
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	if err := k.put(ctx, &old, m, p); err != nil {
		return err
	}
	emit(ctx, event, sdk.NewAttribute(types.AttributeOperator, operator))
	if undo {
		return k.capacityGrew(ctx)
	}
	return nil
}

// Seen notes a miner's sign of life and, if it had been taken off the ring, puts it back.
func (k *Keeper) Seen(ctx context.Context, operator string) error {
	m, err := k.Miner(ctx, operator)
	if err != nil {
		return err
	}
	if m.Status == types.StatusGone {
		return types.ErrStatus.Wrapf("miner %s is gone; register it again", operator)
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	old := m
	m.LastSeen = now(ctx)
	return k.put(ctx, &old, m, p)
}

// Hold takes a VM's demand from a miner's available capacity; types.ErrNoCapacity if it does not fit.
func (k *Keeper) Hold(ctx context.Context, operator string, d node.Demand) error {
	return k.use(ctx, operator, func(m types.Miner, p types.Params) (node.Usage, error) {
		if !m.Available(p).Fits(d) {
			return node.Usage{}, types.ErrNoCapacity.Wrapf("miner %s lacks the capacity for %d vCPUs, %d MiB of memory and %d GiB of disk", operator, d.VCPUs, d.MemoryMiB, d.DiskGiB)
		}
		return m.Usage.Node().Add(d)
	})
}

// Release gives a VM's demand back to its miner.
func (k *Keeper) Release(ctx context.Context, operator string, d node.Demand) error {
	err := k.use(ctx, operator, func(m types.Miner, _ types.Params) (node.Usage, error) { return m.Usage.Node().Sub(d) })
	if err != nil {
		return err
	}
	return k.capacityGrew(ctx)
}

// Swap replaces what a VM takes of a miner; types.ErrNoCapacity if the
// miner lacks the capacity for what it takes more. Giving back always succeeds.
func (k *Keeper) Swap(ctx context.Context, operator string, from, to node.Demand) error {
	less := to.Within(from)
	err := k.use(ctx, operator, func(m types.Miner, p types.Params) (node.Usage, error) {
		u, err := m.Usage.Node().Swap(from, to)
		if err != nil || less {
			return u, err
		}
		without, err := m.Usage.Node().Sub(from)
		if err != nil {
			return u, err
		}
		if available := node.AvailableCapacity(m.Covered(p), without, p.CpuOvercommit); !available.Fits(to) {
			return u, types.ErrNoCapacity.Wrapf("miner %s lacks the capacity for %d vCPUs, %d MiB of memory and %d GiB of disk; available are %d, %d and %d",
				operator, to.VCPUs, to.MemoryMiB, to.DiskGiB, available.VCPUs, available.MemoryMiB, available.DiskGiB)
		}
		return u, nil
	})
	if err != nil || !less {
		return err
	}
	return k.capacityGrew(ctx)
}

// Recount sets what a miner's VMs take together, and how many are on trial, for an upgrade that changes what each takes.
func (k *Keeper) Recount(ctx context.Context, operator string, u node.Usage, trials uint32) error {
	err := k.use(ctx, operator, func(types.Miner, types.Params) (node.Usage, error) { return u, nil })
	if err != nil {
		return err
	}
	if _, err := k.record(ctx, operator, func(r node.Record, _ int64) node.Record { r.Trials = trials; return r }); err != nil {
		return err
	}
	return k.capacityGrew(ctx)
}

func (k *Keeper) use(ctx context.Context, operator string, change func(types.Miner, types.Params) (node.Usage, error)) error {
	m, err := k.Miner(ctx, operator)
	if err != nil {
		return err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	u, err := change(m, p)
	if err != nil {
		return err
	}
	old := m
	m.Usage = types.UsageOf(u)
	return k.put(ctx, &old, m, p)
}

// put keeps a miner and every index of it; old may be the zero value.
func (k *Keeper) put(ctx context.Context, old *types.Miner, m types.Miner, p types.Params) error {
	if err := k.miners.Set(ctx, m.Operator, m); err != nil {
		return err
	}
	if err := k.countRegion(ctx, old, &m); err != nil {
		return err
	}
	return k.index(ctx, old, &m, p)
}
