package keeper

import (
	"bytes"
	"context"
	"errors"

	"cosmossdk.io/collections"
	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/registry/types"
)

// lock keeps the own stake of an operator whose custodian is in one more committee. What is locked is the most it had of its own when
// one of these committees began: a single number for an operator, whatever the number of committees.
func (k *Keeper) lock(ctx context.Context, operator string) error {
	l, err := k.locks.Get(ctx, operator)
	if errors.Is(err, collections.ErrNotFound) {
		l, err = types.KeeperLock{Operator: operator, DelegatorShares: sdkmath.LegacyZeroDec()}, nil
	}
	if err != nil {
		return err
	}
	addr, err := account.Parse("operator", operator)
	if err != nil {
		return err
	}
	own, err := k.staking.GetDelegation(ctx, addr, sdk.ValAddress(addr))
	if err != nil && !errors.Is(err, stakingtypes.ErrNoDelegation) {
		return err
	}
	if err == nil && own.Shares.GT(l.DelegatorShares) {
		l.DelegatorShares = own.Shares
	}
	l.Committees++
	return k.locks.Set(ctx, operator, l)
}

// unlock is for one committee fewer; with the last one the stake is free.
func (k *Keeper) unlock(ctx context.Context, operator string) error {
	l, err := k.locks.Get(ctx, operator)
	if errors.Is(err, collections.ErrNotFound) {
		return nil // the invariants exclude it; a block need not fail for it
	}
	if err != nil {
		return err
	}
	if l.Committees--; l.Committees == 0 {
		return k.locks.Remove(ctx, operator)
	}
	return k.locks.Set(ctx, operator, l)
}

// ownStake refuses that a delegation falls to less than what is locked. Only a message of the operator is refused: a slash of
// what was redelegated to the validator also gets here, from the beginning of a block, which must not fail. It lowers the lock.
func (k *Keeper) ownStake(ctx context.Context, delegator sdk.AccAddress, validator sdk.ValAddress, left sdkmath.LegacyDec) error {
	if !bytes.Equal(delegator, validator) {
		return nil
	}
	l, err := k.locks.Get(ctx, delegator.String())
	if errors.Is(err, collections.ErrNotFound) || err == nil && left.GTE(l.DelegatorShares) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(sdk.UnwrapSDKContext(ctx).TxBytes()) == 0 {
		l.DelegatorShares = left
		return k.locks.Set(ctx, l.Operator, l)
	}
	v, err := k.staking.GetValidator(ctx, validator)
	if err != nil {
		return err
	}
	return types.ErrKeeperLocked.Wrapf("the keeper of %s may hold shares of VMs' secrets, so its operator keeps at least %s uhip delegated to its own validator; register the keeper as leaving, and wait until the VMs dealt to its committees are terminated",
		l.Operator, v.TokensFromSharesRoundUp(l.DelegatorShares).Ceil().TruncateInt())
}
