package keeper

import (
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
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
	if err := k.setDeadlines(ctx); err != nil {
		return err
	}
	return k.sweepAgain.Set(ctx, true)
}

// setDeadlines gives held VMs the times since when their miners have them, and the deadlines at which their hosts are looked at, or not waited for any more.
func (k *Keeper) setDeadlines(ctx sdk.Context) error {
	vms, err := records.All(ctx, k.vms)
	if err != nil {
		return err
	}
	for _, v := range vms {
		if v.Status.Miner == "" {
			continue
		}
		if miner := tries(&v); miner != "" {
			if err := k.offers.Tries(ctx, miner, true); err != nil {
				return err
			}
		}
		old, p := v, v.Status.Phase.Core()
		if p != vm.Assigned {
			v.Status.BegunAt = v.Status.PhaseSince
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
