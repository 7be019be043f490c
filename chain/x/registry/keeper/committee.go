package keeper

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/hippius/compute/chain/x/entry"
	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/committee"
)

// Committee is the present one; without keepers until the first is registered.
func (k *Keeper) Committee(ctx context.Context) (types.Committee, error) {
	c, err := k.committee.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Committee{}, nil
	}
	return c, err
}

// CommitteeOf an epoch, with the time until which it takes deals; types.ErrUnknownCommittee if there was none or no VM needs it
// any more.
func (k *Keeper) CommitteeOf(ctx context.Context, epoch uint64) (types.Committee, error) {
	present, err := k.Committee(ctx)
	if err != nil || present.Epoch == epoch && len(present.Keepers) > 0 {
		return present, err
	}
	c, err := k.former.Get(ctx, epoch)
	if errors.Is(err, collections.ErrNotFound) {
		return c, types.ErrUnknownCommittee.Wrapf("the chain knows no committee of epoch %d; the present epoch is %d", epoch, present.Epoch)
	}
	if err != nil {
		return c, err
	}
	p, err := k.params.Get(ctx)
	c.DealsUntil = c.ReplacedAt + int64(p.EpochGraceSeconds)
	return c, err
}

// refreshCommittee computes the committee anew if something it depends on
// changed and it is old enough, or a third of its shares is gone. It reads at most as many validators as x/staking bonds. The epoch
// rises when a member, a member's keys or its shares change.
func (k *Keeper) refreshCommittee(ctx context.Context) error {
	stale, err := k.committeeStale.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) || err == nil && !stale {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	old, err := k.Committee(ctx)
	if err != nil {
		return err
	}
	if now(ctx) < old.Since+int64(p.EpochSeconds) {
		// It stays stale until it is old enough; meanwhile at most its members are read.
		if !k.thirdGone(ctx, old) {
			return nil
		}
	}
	if err := k.committeeStale.Remove(ctx); err != nil {
		return err
	}
	members, err := k.members(ctx, int(p.MaxCommittee))
	if err != nil {
		return err
	}
	if slices.EqualFunc(old.Keepers, members, func(a, b types.Keeper) bool { return sameKeys(a, b) && a.Shares == b.Shares }) {
		return nil
	}
	return k.replace(ctx, old, members)
}

// thirdGone reports whether members with a third of the shares or more have no bonded validator any more, or none that can be read;
// so does a committee without members.
func (k *Keeper) thirdGone(ctx context.Context, c types.Committee) bool {
	gone := 0
	for _, m := range c.Keepers {
		addr, err := account.Parse("operator", m.Operator)
		if err != nil {
			gone += int(m.Shares)
			continue
		}
		v, err := k.staking.GetValidator(ctx, sdk.ValAddress(addr))
		if err != nil || !v.IsBonded() || v.IsJailed() {
			gone += int(m.Shares)
		}
	}
	return 3*gone >= c.TotalShares()
}

// custodianOf a validator's operator, if it has registered one.
func (k *Keeper) custodianOf(ctx context.Context, v stakingtypes.Validator) (custodian types.Keeper, found bool, err error) {
	addr, err := sdk.ValAddressFromBech32(v.OperatorAddress)
	if err != nil {
		return custodian, false, err
	}
	operator := sdk.AccAddress(addr).String()
	custodian, err = k.custodians.Get(ctx, operator)
	if errors.Is(err, collections.ErrNotFound) {
		return custodian, false, nil
	}
	custodian.Operator = operator
	return custodian, err == nil, err
}

// members of the next committee with their shares, in the order of their operators. A keeper that cannot be read has no seat.
func (k *Keeper) members(ctx context.Context, seats int) ([]types.Keeper, error) {
	validators, err := k.staking.GetBondedValidatorsByPower(ctx)
	if err != nil {
		return nil, err
	}
	candidates := make(map[string]types.Keeper, len(validators)) // read by key only
	var stakes []committee.Stake
	for _, v := range validators {
		custodian, found, err := k.custodianOf(ctx, v)
		if err != nil {
			entry.Failed(ctx, types.ModuleName, "seat_keeper", v.OperatorAddress, err)
		}
		if err != nil || !found || custodian.Leaving {
			continue
		}
		candidates[custodian.Operator] = custodian
		stakes = append(stakes, committee.Stake{Operator: custodian.Operator, Uhip: v.Tokens.BigInt()})
	}
	var members []types.Keeper
	for _, m := range committee.Apportion(stakes, seats) {
		custodian := candidates[m.Operator]
		custodian.Shares = uint32(m.Shares) // at most committee.MaxShares
		members = append(members, custodian)
	}
	return members, nil
}

// replace begins the next epoch. The old committee is kept while it takes deals or VMs need it.
func (k *Keeper) replace(ctx context.Context, old types.Committee, members []types.Keeper) error {
	next := types.Committee{Epoch: old.Epoch + 1, Keepers: members, Since: now(ctx)}
	shares := next.TotalShares()
	next.Threshold = uint32(committee.Threshold(shares)) // at most committee.MaxShares
	if err := k.committee.Set(ctx, next); err != nil {
		return err
	}
	for _, m := range members {
		entry.Attempt(ctx, types.ModuleName, "lock_keeper", m.Operator, func(ctx context.Context) error { return k.lock(ctx, m.Operator) })
	}
	if len(old.Keepers) > 0 {
		old.ReplacedAt = now(ctx)
		if err := k.former.Set(ctx, old.Epoch, old); err != nil {
			return err
		}
		if err := k.replaced.Set(ctx, collections.Join(old.ReplacedAt, old.Epoch)); err != nil {
			return err
		}
	}
	emit(ctx, types.EventCommittee,
		sdk.NewAttribute(types.AttributeEpoch, strconv.FormatUint(next.Epoch, 10)),
		sdk.NewAttribute(types.AttributeKeepers, strconv.Itoa(len(members))),
		sdk.NewAttribute(types.AttributeShares, strconv.Itoa(shares)),
		sdk.NewAttribute(types.AttributeThreshold, strconv.FormatUint(uint64(next.Threshold), 10)))
	return nil
}
