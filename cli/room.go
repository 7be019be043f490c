package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/place"
	"github.com/hippius/compute/core/plan"
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
		Demand: demandOf(planOf(chosen)), Region: f.region, Overcommit: params.Registry.GetCpuOvercommit(),
		MinBond: params.Registry.GetMinBondUhip(), Now: now.Unix(), Silence: int64(params.Registry.GetSilenceSeconds()),
	}
	for _, i := range images {
		if i.GetName() == f.image {
			req.Arch = i.GetArch()
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

func candidateOf(m *registryv1.Miner) place.Candidate {
	return place.Candidate{
		Miner: m.GetOperator(), Bond: m.GetBondUhip(), LastSeen: m.GetLastSeen(), Region: m.GetRegion(), Arch: m.GetCapacity().GetArch(),
		Open:     m.GetStatus() == registryv1.MinerStatus_MINER_STATUS_ACTIVE && slices.Contains(m.GetRoles(), "compute"),
		Capacity: capacityOf(m), Usage: usageOf(m),
	}
}

func capacityOf(m *registryv1.Miner) node.Capacity {
	c := m.GetCapacity()
	return node.Capacity{Cores: c.GetCores(), MemoryMiB: c.GetMemoryMib(), DiskGiB: c.GetDiskGib()}
}

func usageOf(m *registryv1.Miner) node.Usage {
	u := m.GetUsage()
	return node.Usage{VMs: u.GetVms(), VCPUs: u.GetVcpus(), MemoryMiB: u.GetMemoryMib(), DiskGiB: u.GetDiskGib()}
}

func demandOf(p plan.Plan) node.Demand {
	return node.Demand{VCPUs: p.VCPUs, MemoryMiB: p.MemoryMiB, DiskGiB: p.DiskGiB}
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
func (s *session) fits(ctx context.Context, vm *computev1.VM, to plan.Plan, overcommit uint32) (bool, error) {
	if vm.GetStatus().GetMiner() == "" {
		return true, nil
	}
	m, err := s.chain.Miner(ctx, vm.GetStatus().GetMiner())
	if err != nil {
		return false, err
	}
	size := demandOf(sizePlan(vm.GetSize()))
	held, wanted := size, size.Both(demandOf(to))
	if r := vm.GetResize(); r != nil {
		held = held.Both(demandOf(sizePlan(r.GetSize())))
	}
	if wanted.Within(held) {
		return true, nil
	}
	without, err := usageOf(m).Sub(held)
	if err != nil {
		return false, fmt.Errorf("room of host %s: %w", m.GetName(), err)
	}
	return node.RoomLeft(capacityOf(m), without, overcommit).Fits(wanted), nil
}
