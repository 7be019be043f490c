package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/anypb"

	govv1 "github.com/hippius/compute/api/cosmos/gov/v1"
	upgradev1beta1 "github.com/hippius/compute/api/cosmos/upgrade/v1beta1"
)

// Upgrade of the chain: at Height the nodes of the version before stop, and those that know Name go on.
type Upgrade struct {
	Name   string
	Height int64
	// Info for operators: where the new version is found.
	Info string
}

// ProposeUpgrade puts an upgrade to the vote of all who have staked, with the deposit that the chain asks for. It gives
// the proposal's number.
func (s *Sender) ProposeUpgrade(ctx context.Context, u Upgrade, summary string) (id uint64, err error) {
	authority, err := s.c.upgrade.Authority(ctx, &upgradev1beta1.QueryAuthorityRequest{})
	if err != nil {
		return 0, queryError("who decides on upgrades", err)
	}
	params, err := s.c.gov.Params(ctx, &govv1.QueryParamsRequest{ParamsType: "deposit"})
	if err != nil {
		return 0, queryError("governance parameters", err)
	}
	msg, err := pack(&upgradev1beta1.MsgSoftwareUpgrade{
		Authority: authority.GetAddress(), Plan: &upgradev1beta1.Plan{Name: u.Name, Height: u.Height, Info: u.Info},
	})
	if err != nil {
		return 0, err
	}
	r, err := send[*govv1.MsgSubmitProposalResponse](ctx, s, &govv1.MsgSubmitProposal{
		Messages: []*anypb.Any{msg}, InitialDeposit: params.GetParams().GetMinDeposit(), Proposer: s.Address(),
		Title: "Upgrade " + u.Name, Summary: summary,
	})
	return r.GetProposalId(), err
}

// Vote for or against a proposal.
func (s *Sender) Vote(ctx context.Context, id uint64, yes bool) error {
	option := govv1.VoteOption_VOTE_OPTION_NO
	if yes {
		option = govv1.VoteOption_VOTE_OPTION_YES
	}
	_, err := send[*govv1.MsgVoteResponse](ctx, s, &govv1.MsgVote{ProposalId: id, Voter: s.Address(), Option: option})
	return err
}

// PlannedUpgrade is the one that governance has decided on and that is not made yet; nil for none.
func (c *Client) PlannedUpgrade(ctx context.Context) (*Upgrade, error) {
	r, err := c.upgrade.CurrentPlan(ctx, &upgradev1beta1.QueryCurrentPlanRequest{})
	if err != nil {
		return nil, queryError("planned upgrade", err)
	}
	p := r.GetPlan()
	if p == nil {
		return nil, nil //nolint:nilnil // none is an answer
	}
	return &Upgrade{Name: p.GetName(), Height: p.GetHeight(), Info: p.GetInfo()}, nil
}

// Proposal on which the network votes.
type Proposal struct {
	ID     uint64
	Title  string
	Status string
}

// Proposals on which the network votes now.
func (c *Client) Proposals(ctx context.Context) ([]Proposal, error) {
	r, err := c.gov.Proposals(ctx, &govv1.QueryProposalsRequest{ProposalStatus: govv1.ProposalStatus_PROPOSAL_STATUS_VOTING_PERIOD})
	if err != nil {
		return nil, queryError("proposals", err)
	}
	var out []Proposal
	for _, p := range r.GetProposals() {
		status := strings.ToLower(strings.TrimPrefix(p.GetStatus().String(), "PROPOSAL_STATUS_"))
		out = append(out, Proposal{ID: p.GetId(), Title: p.GetTitle(), Status: status})
	}
	return out, nil
}

// ErrOtherVersion says that program and chain are of versions that may not understand each other.
var ErrOtherVersion = errors.New("this program and the chain are of different versions")

// known are the versions of the chain's modules that this program was made for. An upgrade of the chain raises them.
func known() map[string]uint64 {
	return map[string]uint64{"compute": 2, "credits": 2, "marketplace": 1, "mesh": 1, "ranking": 1, "registry": 2}
}

// CheckVersion fails with ErrOtherVersion if the chain's modules are not those that this program was made for, and
// says which of both is the older. What both know still works: a caller may warn and go on.
func (c *Client) CheckVersion(ctx context.Context) error {
	r, err := c.upgrade.ModuleVersions(ctx, &upgradev1beta1.QueryModuleVersionsRequest{})
	if err != nil {
		return queryError("versions of the chain's modules", err)
	}
	have := map[string]uint64{}
	for _, m := range r.GetModuleVersions() {
		have[m.GetName()] = m.GetVersion()
	}
	return compareVersions(have, known())
}

// WarnVersion tells the log when the chain is of another version than this program, which goes on all the same.
func (c *Client) WarnVersion(ctx context.Context, log *slog.Logger) {
	if err := c.CheckVersion(ctx); errors.Is(err, ErrOtherVersion) {
		log.Warn("chain is of another version", "error", err)
	}
}

func compareVersions(chain, program map[string]uint64) error {
	var newer, older []string
	for name, want := range program {
		switch got := chain[name]; {
		case got > want:
			newer = append(newer, fmt.Sprintf("%s %d, known is %d", name, got, want))
		case got < want:
			older = append(older, fmt.Sprintf("%s %d, wanted is %d", name, got, want))
		}
	}
	switch {
	case len(newer) > 0:
		return fmt.Errorf("%w: the chain was upgraded (%s); install the version of this program that goes with it", ErrOtherVersion, sorted(newer))
	case len(older) > 0:
		return fmt.Errorf("%w: the chain is older (%s); install the version of this program that goes with it, or wait for the chain's upgrade", ErrOtherVersion, sorted(older))
	}
	return nil
}

func sorted(list []string) string {
	slices.Sort(list)
	return strings.Join(list, "; ")
}
