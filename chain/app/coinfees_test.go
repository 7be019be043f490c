package app_test

import (
	"encoding/json"
	"testing"

	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
)

// overridden is a genesis with another state of a module.
func overridden(module, text string) func(*app.Genesis) {
	return func(g *app.Genesis) { g.Overrides = map[string]json.RawMessage{module: json.RawMessage(text)} }
}

// While sales are paused, whoever holds coins and no credits votes, unjails, delegates, unbonds and claims.
func TestPausedSalesLockNobodyOut(t *testing.T) {
	h := apptest.New(t, apptest.Options{
		Validators: 2,
		Accounts: []apptest.Funds{
			{Name: "tenant", Ucredit: 100 * credit, Uhip: 1000 * credit},
			{Name: "holder", Uhip: 100 * credit},
			{Name: "miner", Uhip: credit},
			{Name: "validator1", Uhip: credit},
		},
		Genesis: overridden("credits", `{"params":{"min_coverage":20000}}`),
	})
	tenant, holder, miner, validator := apptest.Named("tenant"), apptest.Named("holder"), apptest.Named("miner"), apptest.Operator(1)
	_, err := h.Deliver(holder, buy(holder, holder, 10*credit, ""))
	wantErr(t, err, creditstypes.ErrSalePaused)

	proposal, err := govtypes.NewMsgSubmitProposal(nil, sdk.NewCoins(uhip(100*credit)), tenant.Address, "a text", "a text", "a text", false)
	if err != nil {
		t.Fatal(err)
	}
	h.MustDeliver(tenant, proposal)
	operator := sdk.ValAddress(validator.Acc()).String()
	k := h.App.Keepers
	if err := k.Credits.Consume(h.Ctx(), tenant.Address, credit, miner.Address); err != nil {
		t.Fatal(err)
	}
	v, err := k.Staking.GetValidator(h.Ctx(), sdk.ValAddress(validator.Acc()))
	if err != nil {
		t.Fatal(err)
	}
	key, err := v.GetConsAddr()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Staking.Jail(h.Ctx(), key); err != nil {
		t.Fatal(err)
	}
	h.NextBlock(1)
	for _, c := range []struct {
		by  apptest.Account
		msg sdk.Msg
	}{
		{holder, stakingtypes.NewMsgDelegate(holder.Address, sdk.ValAddress(apptest.Operator(0).Acc()).String(), uhip(10*credit))},
		{holder, &govtypes.MsgVote{ProposalId: 1, Voter: holder.Address, Option: govtypes.OptionYes}},
		{holder, stakingtypes.NewMsgUndelegate(holder.Address, sdk.ValAddress(apptest.Operator(0).Acc()).String(), uhip(5*credit))},
		{validator, slashingtypes.NewMsgUnjail(operator)},
		{miner, &rankingtypes.MsgClaimEarnings{Operator: miner.Address}},
	} {
		if _, err := h.Deliver(c.by, c.msg); err != nil {
			t.Errorf("%T of %s: %v", c.msg, c.by.Name, err)
		}
	}
	if v, err = k.Staking.GetValidator(h.Ctx(), sdk.ValAddress(validator.Acc())); err != nil || v.Jailed || !v.Tokens.Equal(sdkmath.NewInt(1_000_000_000)) {
		t.Errorf("%v, validator %+v", err, v)
	}
}

// A fee in coins costs what the credits would, at the price they are sold at, rounded up. It goes to stakers and
// treasury; the reserve and its books of credits do not see it.
func TestFeeInCoins(t *testing.T) {
	h := apptest.New(t, apptest.Options{
		Accounts: []apptest.Funds{{Name: "holder", Uhip: 10 * credit}, {Name: "tenant", Ucredit: 10 * credit}, {Name: "few", Ucredit: 500, Uhip: 500}},
		Genesis:  priced("1234567"),
	})
	holder, few := apptest.Named("holder"), apptest.Named("few")
	before, treasury := totals(t, h), moduleUhip(h, "treasury")
	fee, err := paid(t, h, holder, &rankingtypes.MsgClaimEarnings{Operator: holder.Address})
	wantErr(t, err, rankingtypes.ErrNothingToClaim) // it pays all the same
	uhip := (fee*1_234_567 + 999_999) / 1_000_000
	if got := 10*credit - uhipOf(h, holder.Address); got != uhip {
		t.Errorf("the fee of %d ucredit cost %d uhip, want %d", fee, got, uhip)
	}
	after := totals(t, h)
	share := uhip - uhip*60/100 - uhip*30/100
	if after.ReserveUhip != before.ReserveUhip || after.BufferUhip != before.BufferUhip || after.BoughtUcredit != before.BoughtUcredit ||
		after.FeesUhip != uhip || after.ReleasedUhip-before.ReleasedUhip != uhip || after.ReleasedTreasuryUhip-before.ReleasedTreasuryUhip != share {
		t.Errorf("before %+v after %+v", before, after)
	}
	if got := moduleUhip(h, "treasury") - treasury; got != share {
		t.Errorf("the treasury got %d, want %d", got, share)
	}
	if e := h.Events(creditstypes.EventCoinFee); len(e) != 1 || e[0]["account"] != holder.Address {
		t.Errorf("events %v", e)
	}
	// Neither enough credits nor enough coins: nothing is taken.
	_, err = h.Deliver(few, &rankingtypes.MsgClaimEarnings{Operator: few.Address})
	wantErr(t, err, creditstypes.ErrInsufficient, "0.0005 credits", "500 uhip", "are missing", "billing buy")
	if b := balance(t, h, few); b.Ucredit != 500 || uhipOf(h, few.Address) != 500 {
		t.Errorf("%+v and %d uhip are left", b, uhipOf(h, few.Address))
	}
}

// Coins make an account, as credits do.
func TestCoinsMakeAnAccount(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "rich", Uhip: 100 * credit}}})
	rich, friend := apptest.Named("rich"), apptest.Named("friend")
	_, err := h.Deliver(friend, &rankingtypes.MsgClaimEarnings{Operator: friend.Address})
	wantErr(t, err, creditstypes.ErrNoAccount, "first credits or coins")
	h.MustDeliver(rich, &banktypes.MsgSend{FromAddress: rich.Address, ToAddress: friend.Address, Amount: sdk.NewCoins(uhip(credit))})
	h.MustDeliver(friend, stakingtypes.NewMsgDelegate(friend.Address, sdk.ValAddress(apptest.Operator(0).Acc()).String(), uhip(credit/2)))
}
