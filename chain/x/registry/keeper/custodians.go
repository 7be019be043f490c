package keeper

import (
	"bytes"
	"context"
	"errors"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/registry/types"
)

// RegisterKeeper registers a validator operator's share custodian, or replaces what is known of it. Of one that is known with the
// same keys, the operator may change the rest whether its validator is bonded or not: others need it to find what it holds.
func (k *Keeper) RegisterKeeper(ctx context.Context, m *types.MsgRegisterKeeper) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	custodian := types.Keeper{
		Operator: m.Operator, Identity: m.Identity, HpkeKey: m.HpkeKey, Endpoint: m.Endpoint, Name: m.Name, Leaving: m.Leaving,
	}
	old, err := k.custodians.Get(ctx, m.Operator)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return err
	}
	if !sameKeys(old, custodian) {
		if err := k.mayHaveKeys(ctx, old, m); err != nil {
			return err
		}
	}
	if err := k.putCustodian(ctx, custodian); err != nil {
		return err
	}
	emit(ctx, types.EventKeeperRegistered, sdk.NewAttribute(types.AttributeOperator, m.Operator))
	return k.committeeStale.Set(ctx, true)
}

// mayHaveKeys refuses new keys, and frees the old identity. old is the zero value for an operator that has no custodian yet.
func (k *Keeper) mayHaveKeys(ctx context.Context, old types.Keeper, m *types.MsgRegisterKeeper) error {
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
	if old.Operator == "" {
		return nil
	}
	if locked, err := k.locks.Has(ctx, m.Operator); err != nil {
		return err
	} else if locked && !m.Abandon {
		return types.ErrKeeperLocked.Wrapf("the keeper of %s may hold shares of VMs' secrets, which other keys do not open; restore its keys, or give the shares up with abandon", m.Operator)
	}
	return k.custodianIdentities.Remove(ctx, old.Identity)
}

func (k *Keeper) putCustodian(ctx context.Context, custodian types.Keeper) error {
	if err := k.custodianIdentities.Set(ctx, custodian.Identity, custodian.Operator); err != nil {
		return err
	}
	return k.custodians.Set(ctx, custodian.Operator, custodian)
}

func sameKeys(a, b types.Keeper) bool {
	return a.Operator == b.Operator && bytes.Equal(a.Identity, b.Identity) && bytes.Equal(a.HpkeKey, b.HpkeKey)
}

// reachable gives a committee's members the names and endpoints they have now. One with other keys than it was dealt to keeps those it
// had then.
func (k *Keeper) reachable(ctx context.Context, c types.Committee) (types.Committee, error) {
	for i := range c.Keepers {
		m := &c.Keepers[i]
		now, err := k.custodians.Get(ctx, m.Operator)
		if err != nil && !errors.Is(err, collections.ErrNotFound) {
			return c, err
		}
		if sameKeys(now, *m) {
			m.Endpoint, m.Name, m.Leaving = now.Endpoint, now.Name, now.Leaving
		}
	}
	return c, nil
}
