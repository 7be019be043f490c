package app_test

import (
	"regexp"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"github.com/hippius/compute/chain/app/apptest"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
)

// A decision that cannot be carried out is stored with the code of what was wrong, which a newer version may phrase differently.
func TestFailedDecisionHasNoWords(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "tenant", Ucredit: 100 * credit, Uhip: 1000 * credit}, {Name: "validator", Ucredit: 10 * credit}}})
	tenant, validator := apptest.Named("tenant"), apptest.Operator(0)
	spend := &creditstypes.MsgSpendBuffer{Authority: h.App.Keepers.Gov.GetAuthority(), Recipient: creditstypes.RecipientTreasury, Uhip: 1 << 60}
	proposal, err := govtypes.NewMsgSubmitProposal([]sdk.Msg{spend}, sdk.NewCoins(uhip(100*credit)), tenant.Address, "a text", "a text", "a text", false)
	if err != nil {
		t.Fatal(err)
	}
	h.MustDeliver(tenant, proposal)
	h.MustDeliver(validator, &govtypes.MsgVote{ProposalId: 1, Voter: validator.Address, Option: govtypes.OptionYes})
	h.NextBlock(7 * 24 * 3600)
	p, err := h.App.Keepers.Gov.Proposals.Get(h.Ctx(), 1)
	if err != nil || p.Status != govtypes.StatusFailed {
		t.Fatalf("%v, %v", p.Status, err)
	}
	if !regexp.MustCompile(`^[a-z]+/[0-9]+$`).MatchString(p.FailedReason) {
		t.Errorf("it failed because %q; stored is to be the code alone", p.FailedReason)
	}
}
