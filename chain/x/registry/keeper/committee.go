package keeper

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/registry/types"
)

// RegisterKeeper registers a validator operator's share custodian, or replaces what is known of it.
func (k *Keeper) RegisterKeeper(ctx context.Context, m *types.MsgRegisterKeeper) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	addr, err := account.Parse("operator", m.Operator)
	if err != nil {
		return types.ErrInvalid.Wrap(err.Error())
	}
	v, err := k.staking.GetValidator(ctx, sdk.ValAddress(addr))
	if errors.Is(err, stakingtypes.ErrNoValidatorFound) || err == nil && !v.IsBonded() {
		return types.ErrNotValidator.Wrapf("%s operates no bonded validator; only such accounts may run keepers", m.Operator)
	}
	if err != nil {
		return err
	}
	if holder, err := k.custodianIdentities.Get(ctx, m.Identity); err == nil && holder != m.Operator {
		return types.ErrIdentityTaken.Wrapf("identity key %x belongs to the keeper of %s; each keeper needs its own", m.Identity, holder)
	} else if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return err
	}
	old, err := k.custodians.Get(ctx, m.Operator)
	switch {
	case errors.Is(err, collections.ErrNotFound):
	case err != nil:
		return err
	default:
		if err := k.custodianIdentities.Remove(ctx, old.Identity); err != nil {
			return err
		}
	}
	if err := k.putCustodian(ctx, types.Keeper{Operator: m.Operator, Identity: m.Identity, HpkeKey: m.HpkeKey, Endpoint: m.Endpoint, Name: m.Name}); err != nil {
		return err
	}
	emit(ctx, types.EventKeeperRegistered, sdk.NewAttribute(types.AttributeOperator, m.Operator))
	return k.committeeStale.Set(ctx, true)
}

func (k *Keeper) putCustodian(ctx context.Context, custodian types.Keeper) error {
	if err := k.custodianIdentities.Set(ctx, custodian.Identity, custodian.Operator); err != nil {
		return err
	}
	return k.custodians.Set(ctx, custodian.Operator, custodian)
}

// Committee is the present one; without keepers until the first is registered.
func (k *Keeper) Committee(ctx context.Context) (types.Committee, error) {
	c, err := k.committee.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Committee{}, nil
	}
	return c, err
}

// Threshold is how many of n keepers open a secret: two thirds, rounded up.
func Threshold(n int) uint32 { return uint32((2*n + 2) / 3) }

// refreshCommittee computes the committee anew if something it depends on
// changed: the keepers of the bonded validators with the most stake. It reads
// at most as many validators as x/staking bonds. The order is that of the
// operators, so that stake moving among members changes nothing; the epoch
// rises when a member or a member's keys change.
func (k *Keeper) refreshCommittee(ctx context.Context) error {
	stale, err := k.committeeStale.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) || err == nil && !stale {
		return nil
	}
	if err != nil {
		return err
	}
	if err := k.committeeStale.Remove(ctx); err != nil {
		return err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	members, err := k.members(ctx, int(p.MaxCommittee))
	if err != nil {
		return err
	}
	old, err := k.Committee(ctx)
	if err != nil {
		return err
	}
	next := types.Committee{Epoch: old.Epoch, Threshold: Threshold(len(members)), Keepers: members}
	if slices.EqualFunc(old.Keepers, members, sameKeys) {
		return k.committee.Set(ctx, next) // an endpoint or a name may have changed
	}
	next.Epoch++
	if err := k.committee.Set(ctx, next); err != nil {
		return err
	}
	emit(ctx, types.EventCommittee,
		sdk.NewAttribute(types.AttributeEpoch, strconv.FormatUint(next.Epoch, 10)),
		sdk.NewAttribute(types.AttributeKeepers, strconv.Itoa(len(members))),
		sdk.NewAttribute(types.AttributeThreshold, strconv.FormatUint(uint64(next.Threshold), 10)))
	return nil
}

func (k *Keeper) members(ctx context.Context, limit int) ([]types.Keeper, error) {
	validators, err := k.staking.GetBondedValidatorsByPower(ctx)
	if err != nil {
		return nil, err
	}
	var members []types.Keeper
	for _, v := range validators {
		if len(members) >= limit {
			break
		}
		addr, err := sdk.ValAddressFromBech32(v.OperatorAddress)
		if err != nil {
			return nil, err
		}
		custodian, err := k.custodians.Get(ctx, sdk.AccAddress(addr).String())
		if errors.Is(err, collections.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		members = append(members, custodian)
	}
	slices.SortFunc(members, func(a, b types.Keeper) int { return cmp.Compare(a.Operator, b.Operator) })
	return members, nil
}

func sameKeys(a, b types.Keeper) bool {
	return a.Operator == b.Operator && bytes.Equal(a.Identity, b.Identity) && bytes.Equal(a.HpkeKey, b.HpkeKey)
}
