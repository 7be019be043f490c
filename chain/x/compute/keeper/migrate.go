package keeper

import (
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
)

// Migrate1to2 gives the parameters that version 1 did not have their defaults. VMs that wait are searched for anew, as no
// search of theirs is there.
func (k *Keeper) Migrate1to2(ctx sdk.Context) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	d := types.DefaultParams()
	p.MaxCandidatesPerBlock = d.MaxCandidatesPerBlock
	if p.SilenceSeconds == 0 {
		p.SilenceSeconds, p.SilenceReports, p.MaxSilenceActions = d.SilenceSeconds, d.SilenceReports, d.MaxSilenceActions
	}
	if p.BootTimeoutSeconds == 0 {
		p.BootTimeoutSeconds, p.BootSecondsPerGib = d.BootTimeoutSeconds, d.BootSecondsPerGib
	}
	p.HostGoneSeconds, p.ReleaseSeconds = d.HostGoneSeconds, d.ReleaseSeconds
	p.ReportSeconds, p.ReportBurst, p.EmptyReportSeconds = d.ReportSeconds, d.ReportBurst, d.EmptyReportSeconds
	p.FreeReportGas, p.FreeReportGasPerVm = d.FreeReportGas, d.FreeReportGasPerVm
	p.ExcludeSeconds, p.ProvenSeconds, p.UnprovenMiners = d.ExcludeSeconds, d.ProvenSeconds, d.UnprovenMiners
	if err := k.params.Set(ctx, p); err != nil {
		return err
	}
	if err := k.reportRates.Clear(ctx, nil); err != nil { // version 1 counted messages by the minute
		return err
	}
	vms, err := records.All(ctx, k.vms)
	if err != nil {
		return err
	}
	if err := k.setDeadlines(ctx, vms); err != nil {
		return err
	}
	if err := k.recount(ctx, vms); err != nil {
		return err
	}
	if err := k.setRates(ctx, vms); err != nil {
		return err
	}
	if err := k.countAllDealt(ctx, vms); err != nil {
		return err
	}
	return k.sweepAgain.Set(ctx, true)
}

// countAllDealt counts the instances of all VMs by committee.
func (k *Keeper) countAllDealt(ctx sdk.Context, vms []types.VM) error {
	if err := k.dealt.Clear(ctx, nil); err != nil {
		return err
	}
	for _, v := range vms {
		if v.Status.Phase.Core() == vm.Terminated {
			continue
		}
		list, err := k.instancesOf(ctx, v.Id, types.MaxInstanceSeq)
		if err != nil {
			return err
		}
		if err := k.countDealt(ctx, v.Id, list); err != nil {
			return err
		}
	}
	return nil
}

// recount has miners hold what their VMs take now, and have the VMs on trial that they have: for version 1 a VM that is off took all that
// it runs with, and none was on trial.
func (k *Keeper) recount(ctx sdk.Context, vms []types.VM) error {
	var miners []string // in the order of the store
	usage, trials := map[string]node.Usage{}, map[string]uint32{}
	for _, v := range vms {
		if m := tries(&v); m != "" {
			trials[m]++
		}
		m := v.Status.Miner
		if m == "" {
			continue
		}
		u, seen := usage[m]
		if !seen {
			miners = append(miners, m)
		}
		var err error
		if usage[m], err = u.Add(v.Core().Holds()); err != nil {
			return err
		}
	}
	for _, m := range miners {
		if err := k.offers.Recount(ctx, m, usage[m], trials[m]); err != nil {
			return err
		}
	}
	return nil
}

// setRates has accounts pay what their VMs cost now: for version 1 the disk of a failed VM cost nothing.
func (k *Keeper) setRates(ctx sdk.Context, vms []types.VM) error {
	var owners []string // in the order of the store
	rates := map[string]uint64{}
	for _, v := range vms {
		if _, seen := rates[v.Owner]; !seen {
			owners = append(owners, v.Owner)
		}
		rates[v.Owner] += v.Core().Rate()
	}
	for _, owner := range owners {
		was, err := k.meters.Rate(ctx, owner)
		if err != nil {
			return err
		}
		if was == rates[owner] {
			continue
		}
		if err := k.meters.SetRate(ctx, owner, int64(rates[owner])-int64(was)); err != nil {
			return err
		}
	}
	return nil
}

// setDeadlines gives held VMs the times since when they are started, and the deadlines at which their hosts are looked at, or not waited for any more.
func (k *Keeper) setDeadlines(ctx sdk.Context, vms []types.VM) error {
	for _, v := range vms {
		if v.Status.Miner == "" {
			continue
		}
		old, p := v, v.Status.Phase.Core()
		switch {
		case !v.Status.HasData && p != vm.Assigned:
			v.Status.BegunAt = v.Status.PhaseSince
		case p == vm.Provisioning || p.On() && v.Status.ReadyAt == 0:
			v.Status.BegunAt = now(ctx) // version 1 had no deadline for it
		}
		if v.Status.Deadline != 0 {
			if err := k.vms.Set(ctx, v.Id, v); err != nil {
				return err
			}
			continue
		}
		if p.On() && v.Status.HasData {
			p = vm.Stopped // whose deadline it has in common
		}
		if err := k.setDeadline(ctx, &v, p); err != nil {
			return err
		}
		if err := k.moveDeadline(ctx, old.Status.Deadline, v.Status.Deadline, v.Id); err != nil {
			return err
		}
		if err := k.vms.Set(ctx, v.Id, v); err != nil {
			return err
		}
	}
	return nil
}
