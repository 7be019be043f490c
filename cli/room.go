package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/place"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

// hosts counts the miners that would take a machine now, by the chain's own rule.
func (s *session) hosts(ctx context.Context, f createFlags, now time.Time) (int, error) {
	chosen, err := s.choosePlan(ctx, f.plan)
	if err != nil {
		return 0, err
	}
	params, err := s.chain.Params(ctx)
	if err != nil {
		return 0, err
	}
	images, err := s.chain.Images(ctx)
	if err != nil {
		return 0, err
	}
	req := place.Request{
		Demand: chosen.Demand(), Region: f.region, Overcommit: params.CPUOvercommit,
		MinBond: params.MinBondUhip, Now: now.Unix(), Silence: params.SilenceSeconds,
	}
	for _, i := range images {
		if i.Name == f.image {
			req.Arch = i.Arch
		}
	}
	if req.Miners, err = s.operators(ctx, f.miners); err != nil {
		return 0, err
	}
	miners, err := s.chain.Miners(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, m := range miners {
		if place.Passes(req, candidateOf(m)) {
			n++
		}
	}
	return n, nil
}

func candidateOf(m node.Miner) place.Candidate {
	return place.Candidate{
		Miner: m.Operator, Bond: m.BondUhip, LastSeen: m.LastSeen, Region: m.Region, Arch: m.Hardware.Arch,
		Open:     m.Status == node.Active && slices.Contains(m.Roles, node.RoleCompute),
		Capacity: m.Capacity, Usage: m.Usage,
	}
}

func roomText(miners int) string {
	switch miners {
	case 0:
		return "on no miner now; it would wait in line for one, at no cost"
	case 1:
		return "on 1 miner now"
	default:
		return fmt.Sprintf("on %d miners now", miners)
	}
}

// fits reports whether a machine's host has room for it in another size, by the chain's own rule. A machine without a host
// is placed where there is room.
func (s *session) fits(ctx context.Context, v vm.VM, to plan.Size, overcommit uint32) (bool, error) {
	if v.Status.Miner == "" {
		return true, nil
	}
	m, err := s.chain.Miner(ctx, v.Status.Miner)
	if err != nil {
		return false, err
	}
	held, wanted := v.Demand(), v.Size.Demand().Both(to.Demand())
	if wanted.Within(held) {
		return true, nil
	}
	without, err := m.Usage.Sub(held)
	if err != nil {
		return false, fmt.Errorf("room of host %s: %w", m.Name, err)
	}
	return node.RoomLeft(m.Capacity, without, overcommit).Fits(wanted), nil
}
