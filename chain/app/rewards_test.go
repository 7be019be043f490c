package app_test

import (
	"testing"

	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"

	"github.com/hippius/compute/chain/app/apptest"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
)

// held is what distribution owes to validators and their stakers, and what it has put into the community pool, in uhip.
func held(t *testing.T, h *apptest.Harness, validators int) (rewards, pool sdkmath.LegacyDec) {
	t.Helper()
	rewards = sdkmath.LegacyZeroDec()
	for i := range validators {
		r, err := h.App.Keepers.Distribution.GetValidatorOutstandingRewards(h.Ctx(), sdk.ValAddress(apptest.Operator(i).Acc()))
		if err != nil {
			t.Fatal(err)
		}
		rewards = rewards.Add(r.Rewards.AmountOf("uhip"))
	}
	p, err := h.App.Keepers.Distribution.FeePool.Get(h.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	return rewards, p.CommunityPool.AmountOf("uhip")
}

// Of what is consumed 60 % is the miner's, 30 % the validators' and 10 % the treasury's, to the unit, with all modules
// on: nothing is taken out of the validators' share.
func TestSharesToTheUnit(t *testing.T) {
	const validators = 4 // whose quarters of the power have no remainder
	h := apptest.New(t, apptest.Options{Validators: validators, Accounts: []apptest.Funds{{Name: "tenant", Ucredit: 100 * credit}, {Name: "miner"}}})
	tenant, miner := apptest.Named("tenant"), apptest.Named("miner")
	if err := h.App.Keepers.Credits.Consume(h.Ctx(), tenant.Address, 10*credit, miner.Address); err != nil {
		t.Fatal(err)
	}
	h.NextBlock(1)
	h.NextBlock(1) // distribution shares out what the last block brought
	earned, err := h.App.Keepers.Ranking.Earnings(h.Ctx(), miner.Address)
	if err != nil {
		t.Fatal(err)
	}
	if earned.AccruedUhip != 6*credit {
		t.Errorf("the miner has %d uhip, want %d", earned.AccruedUhip, 6*credit)
	}
	if got := moduleUhip(h, "treasury"); got != credit {
		t.Errorf("the treasury has %d uhip, want %d", got, credit)
	}
	rewards, pool := held(t, h, validators)
	if !rewards.Equal(sdkmath.LegacyNewDec(3*credit)) || !pool.IsZero() {
		t.Errorf("validators have %s uhip of %d, the community pool %s", rewards, 3*credit, pool)
	}
}

// With any powers of validators what no fraction of 18 digits divides is below one uhip, and fees in credits and in coins
// go the same way.
func TestFeesReachValidators(t *testing.T) {
	const validators = 3
	h := apptest.New(t, apptest.Options{Validators: validators, Accounts: []apptest.Funds{{Name: "tenant", Ucredit: 100 * credit}, {Name: "holder", Uhip: credit}}})
	for _, name := range []string{"tenant", "holder"} {
		a := apptest.Named(name)
		_, err := h.Deliver(a, &rankingtypes.MsgClaimEarnings{Operator: a.Address})
		wantErr(t, err, rankingtypes.ErrNothingToClaim)
	}
	h.NextBlock(1)
	rewards, pool := held(t, h, validators)
	due := sdkmath.LegacyNewDec(int64(totals(t, h).ReleasedStakersUhip))
	if due.IsZero() || !rewards.Add(pool).Equal(due) || pool.GTE(sdkmath.LegacyOneDec()) {
		t.Errorf("validators have %s uhip of %s, the community pool %s", rewards, due, pool)
	}
}

// Governance cannot bring the tax back: who gets what is said by the shares of x/credits alone.
func TestNoCommunityTax(t *testing.T) {
	h := apptest.New(t, apptest.Options{})
	p, err := h.App.Keepers.Distribution.Params.Get(h.Ctx())
	if err != nil || !p.CommunityTax.IsZero() {
		t.Fatalf("%+v, %v", p, err)
	}
	set := func(tax sdkmath.LegacyDec) error {
		p.CommunityTax = tax
		m := &distrtypes.MsgUpdateParams{Authority: authtypes.NewModuleAddress("gov").String(), Params: p}
		_, err := h.App.MsgServiceRouter().Handler(m)(h.Ctx(), m)
		return err
	}
	wantErr(t, set(sdkmath.LegacyNewDecWithPrec(2, 2)), sdkerrors.ErrInvalidRequest, "treasury's share")
	if err := set(sdkmath.LegacyZeroDec()); err != nil {
		t.Error(err)
	}
}
