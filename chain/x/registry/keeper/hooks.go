package keeper

import (
	"bytes"
	"context"

	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
)

// Hooks lets x/staking say when the committee may have changed, and refuses that members' operators take their stake.
func (k *Keeper) Hooks() stakingtypes.StakingHooks { return hooks{k} }

type hooks struct{ k *Keeper }

var _ stakingtypes.StakingHooks = hooks{}

func (h hooks) stale(ctx context.Context) error { return h.k.committeeStale.Set(ctx, true) }

func (h hooks) AfterValidatorBonded(ctx context.Context, _ sdk.ConsAddress, _ sdk.ValAddress) error {
	return h.stale(ctx)
}

func (h hooks) AfterValidatorBeginUnbonding(ctx context.Context, _ sdk.ConsAddress, _ sdk.ValAddress) error {
	return h.stale(ctx)
}

func (h hooks) AfterValidatorRemoved(ctx context.Context, _ sdk.ConsAddress, _ sdk.ValAddress) error {
	return h.stale(ctx)
}

// AfterDelegationModified is called when a delegation has grown or fallen, but is not gone.
func (h hooks) AfterDelegationModified(ctx context.Context, delegator sdk.AccAddress, validator sdk.ValAddress) error {
	if bytes.Equal(delegator, validator) {
		d, err := h.k.staking.GetDelegation(ctx, delegator, validator)
		if err != nil {
			return err
		}
		if err := h.k.ownStake(ctx, delegator, validator, d.Shares); err != nil {
			return err
		}
	}
	return h.stale(ctx)
}

func (h hooks) BeforeValidatorSlashed(ctx context.Context, _ sdk.ValAddress, _ sdkmath.LegacyDec) error {
	return h.stale(ctx)
}

func (h hooks) BeforeDelegationRemoved(ctx context.Context, delegator sdk.AccAddress, validator sdk.ValAddress) error {
	if err := h.k.ownStake(ctx, delegator, validator, sdkmath.LegacyZeroDec()); err != nil {
		return err
	}
	return h.stale(ctx)
}

func (hooks) AfterValidatorCreated(context.Context, sdk.ValAddress) error   { return nil }
func (hooks) BeforeValidatorModified(context.Context, sdk.ValAddress) error { return nil }
func (hooks) AfterUnbondingInitiated(context.Context, uint64) error         { return nil }

func (hooks) AfterValidatorConsKeyUpdated(context.Context, sdk.ConsAddress, sdk.ConsAddress, sdk.ValAddress) error {
	return nil
}

func (hooks) BeforeDelegationCreated(context.Context, sdk.AccAddress, sdk.ValAddress) error {
	return nil
}

func (hooks) BeforeDelegationSharesModified(context.Context, sdk.AccAddress, sdk.ValAddress) error {
	return nil
}
