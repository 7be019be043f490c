package tenant

import (
	"context"
	"slices"

	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/params"
	"github.com/hippius/compute/core/place"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

// Quote is what a VM of a plan would cost the account.
func (r *Reader) Quote(ctx context.Context, name string) (plan.Quote, error) {
	return r.chain.Quote(ctx, r.account, name)
}

// Hosts counts the miners that would take a VM now, by the chain's own rule. request is what Spec takes.
func (r *Reader) Hosts(ctx context.Context, request vm.Spec) (int, error) {
	p, err := r.plan(ctx, request.Plan)
	if err != nil {
		return 0, err
	}
	params, err := r.chain.Params(ctx)
	if err != nil {
		return 0, err
	}
	images, err := r.chain.Images(ctx)
	if err != nil {
		return 0, err
	}
	req := place.Request{
		Demand: p.Demand(), Region: request.Region, Overcommit: params.CPUOvercommit,
		MinBond: params.MinBondUhip, Now: r.now().Unix(), Silence: params.SilenceSeconds,
	}
	for _, i := range images {
		if i.Name == request.Image {
			req.Arch = i.Arch
		}
	}
	if req.Miners, err = r.operators(ctx, request.Miners); err != nil {
		return 0, err
	}
	miners, err := r.chain.Miners(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, m := range miners {
		if place.Passes(req, candidateOf(m, params)) {
			n++
		}
	}
	return n, nil
}

func candidateOf(m node.Miner, p params.Params) place.Candidate {
	return place.Candidate{
		Miner: m.Operator, Bond: m.BondUhip, LastSeen: m.LastSeen, Region: m.Region, Arch: m.Hardware.Arch,
		Open:     m.Status == node.Active && slices.Contains(m.Roles, node.RoleCompute),
		Capacity: m.Capacity.Covered(m.BondUhip, p.Bonds), Usage: m.Usage, Slots: m.Record.Slots(p.Newcomers),
	}
}
