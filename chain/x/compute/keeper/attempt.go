package keeper

import (
	"context"
	"slices"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/entry"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/core/vm"
)

// failAttempt judges an attempt to run a VM without data that fails, before the VM changes, and returns why it does. Its miner is
// tried last for the tenant from now on. One that did not come to run it has that in its record at once. If by its word the guest ran
// for a while, and gave no proof, the fault may be the guest's: the next attempt is charged, and the miner's record has it only once
// the VM proves itself elsewhere. So it is with what the host said it waits for, as keepers that give no secrets: but that is no run.
func (k *Keeper) failAttempt(ctx context.Context, p types.Params, v *types.VM, w why) (why, error) {
	if v.Spec.Power != types.Power_POWER_ON { // nobody waits for it
		return w, k.excludeHung(ctx, v, v)
	}
	fresh, err := k.exclude(ctx, p, v)
	if err != nil {
		return w, err
	}
	ran, err := k.ran(ctx, p, v)
	if err != nil {
		return w, err
	}
	down := v.Status.Phase.Core() == vm.Provisioning && !vm.Starts(v.Status.Reason)
	if fresh && (down || ran) {
		suspect(v)
	}
	if down || !ran {
		if fresh && !down {
			k.blame(ctx, v.Status.Miner)
		}
		return w, disown(p, v)
	}
	v.Status.Attestation.Unproven = !v.Status.Attestation.Proven
	if !slices.Contains(v.Status.RanOn, v.Status.Miner) && len(v.Status.RanOn) < types.MaxUnproven {
		v.Status.RanOn = append(slices.Clone(v.Status.RanOn), v.Status.Miner)
	}
	if len(v.Status.RanOn) >= int(p.UnprovenMiners) {
		w = why{reason: vm.ReasonNoAgent}
	}
	return w, nil
}

// excludeHung has the miner of a VM tried last for the tenant if the VM, as it was before its stop or its end was ordered, hung: without
// data it came up, or was not stopped, for longer than most boots take. Nobody is blamed, as who ordered it may have been impatient.
func (k *Keeper) excludeHung(ctx context.Context, was, v *types.VM) error {
	since := was.Status.BegunAt
	switch was.Status.Phase.Core() { //nolint:exhaustive // in the others nothing is asked of a miner
	case vm.Assigned:
		since = was.Status.PhaseSince
	case vm.Provisioning, vm.Running, vm.Rebooting, vm.Stopping:
	default:
		return nil
	}
	if was.Status.HasData || now(ctx)-since <= vm.BootAllowance {
		return nil
	}
	end, err := k.resumed(ctx, vm.BootAllowance)
	if err != nil || now(ctx)-end <= vm.BootAllowance {
		return err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	_, err = k.exclude(ctx, p, v)
	return err
}

// leaves reports whether a VM that is off is placed anew at its next start: a start of it hung on its miner. Of a VM that a miner holds,
// only that one can be among those that failed it.
func leaves(v *types.VM) bool {
	return v.Status.Phase.Core() == vm.Stopped && !v.Status.HasData && slices.Contains(v.Status.Excluded, v.Status.Miner)
}

// disown ends what the host said of a start that it failed.
func disown(p types.Params, v *types.VM) error {
	return attest(v, func(a *vm.Attestation, rate uint64) error { return a.Disown(p.Rules(), rate) })
}

// startFailed judges a start of a VM with data that its host failed: if no guest ran, it is not charged.
func (k *Keeper) startFailed(ctx context.Context, p types.Params, v *types.VM) error {
	ran, err := k.ran(ctx, p, v)
	if err != nil || ran || v.Status.Phase.Core() != vm.Provisioning {
		return err
	}
	return disown(p, v)
}

// ran reports whether the guest of a VM ran, by its miner's word, for as long as one may be silent, a halt of the chain not counted.
func (k *Keeper) ran(ctx context.Context, p types.Params, v *types.VM) (bool, error) {
	end, err := k.resumed(ctx, int64(p.SilenceSeconds))
	return v.Status.BegunAt != 0 && now(ctx)-max(v.Status.BegunAt, end) >= int64(p.SilenceSeconds) && v.Spec.Agent != types.AgentMode_AGENT_MODE_NONE, err
}

// blame notes in a miner's record that a VM did not come to run. What goes wrong with it stops nothing else.
func (k *Keeper) blame(ctx context.Context, miner string) {
	entry.Attempt(ctx, types.ModuleName, "blame_miner", miner, func(ctx context.Context) error { return k.offers.Failed(ctx, miner) })
}

// suspect notes that a VM's miner has its failure in its record once the VM proves itself elsewhere.
func suspect(v *types.VM) {
	if s := v.Status.Suspects; !slices.Contains(s, v.Status.Miner) && len(s) < types.MaxUnproven {
		v.Status.Suspects = append(slices.Clone(s), v.Status.Miner)
	}
}

// cameUp has a VM that proves itself for the first time in its miner's record, and its failure in those of its suspects: the guest was
// not at fault.
func (k *Keeper) cameUp(ctx context.Context, v *types.VM) error {
	if v.Spec.Agent == types.AgentMode_AGENT_MODE_NONE {
		return nil
	}
	for _, miner := range v.Status.Suspects {
		if miner == v.Status.Miner {
			continue
		}
		// A day later it is excluded no more, and may be a suspect of another VM: so a tenant cannot save its blame up.
		until, err := records.OrZero(k.exclusions.Get(ctx, collections.Join(v.Owner, miner)))
		if err != nil {
			return err
		}
		if until > now(ctx) {
			k.blame(ctx, miner)
		}
	}
	v.Status.Suspects = nil
	if v.Status.RebuildInstance != 0 {
		return nil // rebuilding one's own VM shows nothing more of its miner
	}
	return k.offers.Booted(ctx, v.Status.Miner)
}

// spent reports whether no further attempt is made: its guest ran on as many miners without a proof as may be, or all are used up, and
// only miners that were tried are left, or as many were tried as a VM remembers.
func spent(p types.Params, v *types.VM) bool {
	return len(v.Status.RanOn) >= int(p.UnprovenMiners) ||
		v.Status.Attempts >= p.MaxAttempts && (v.Status.Retrying || len(v.Status.Excluded) >= maxExcluded)
}

// again has a VM tried by its tenant's order as if it never was. What its guest is charged stays, and so do its suspects.
func again(v *types.VM) {
	v.Status.Attempts, v.Status.Excluded, v.Status.Retrying, v.Status.RanOn = 0, nil, false, nil
}

// countProven has a VM that proved itself for long enough, without a gap, in its miner's record, once for each instance. On its host's
// word it is not on trial any more, and shows nothing of the host.
func (k *Keeper) countProven(ctx context.Context, p types.Params, v *types.VM, at int64) error {
	if v.Status.ProvenInstance == v.Status.InstanceSeq || at-wholeSince(v) < int64(p.ProvenSeconds) {
		return nil
	}
	v.Status.ProvenInstance = v.Status.InstanceSeq
	if v.Spec.Agent == types.AgentMode_AGENT_MODE_NONE {
		return nil
	}
	return k.offers.Proved(ctx, v.Status.Miner)
}

// wholeSince is since when a VM that is ready has been attested without a gap.
func wholeSince(v *types.VM) int64 { return max(v.Status.ReadyAt, v.Status.Attestation.WholeSince) }

// tries is the miner on which a VM is on trial: one that holds it, not off, and on which its instance has not run for long enough.
func tries(v *types.VM) string {
	if v.Status.ProvenInstance == v.Status.InstanceSeq || v.Core().Off() || v.Ended() {
		return ""
	}
	return v.Status.Miner
}

// moveTrial keeps how many VMs are on trial on a miner.
func (k *Keeper) moveTrial(ctx context.Context, old, v *types.VM) error {
	was, is := tries(old), tries(v)
	if was == is {
		return nil
	}
	if was != "" {
		if err := k.offers.Tries(ctx, was, false); err != nil {
			return err
		}
	}
	if is == "" {
		return nil
	}
	return k.offers.Tries(ctx, is, true)
}
