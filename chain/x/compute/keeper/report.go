package keeper

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	errorsmod "cosmossdk.io/errors"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

const (
	// maxExcluded bounds the miners a VM remembers to have failed it.
	maxExcluded = 8
	// maxReportGas is what one report takes of its batch at most, less than what clients give for it: so a batch never fails for what
	// is in it, and what tenants made large takes nothing from others.
	maxReportGas = 60_000
	// countBits of a tally's number are the count, the rest is the window.
	countBits = 20
)

// FreeReport is the ante handler's gate: it tells whether a batch of a registered miner with a gas limit is free of a fee, and if
// so uses what the miner has of them. The answer depends on the state and the block's time alone.
func (k *Keeper) FreeReport(ctx context.Context, m *types.MsgReportVM, gas uint64) (bool, error) {
	miner, err := k.offers.Miner(ctx, m.Miner)
	if err != nil {
		return false, err
	}
	if miner.Status == registrytypes.StatusGone {
		return false, registrytypes.ErrStatus.Wrapf("miner %s is gone; register it again", m.Miner)
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return false, err
	}
	rate, err := records.OrZero(k.reportRates.Get(ctx, m.Miner))
	if err != nil {
		return false, err
	}
	used := vm.ReportAllowance{UsedUntil: rate.UsedUntil, EmptyUntil: rate.EmptyUntil}
	left, free := used.Take(p.ReportRules(), now(ctx), len(m.Reports), gas, uint64(miner.Usage.Vms))
	if !free {
		return false, nil
	}
	return true, k.reportRates.Set(ctx, m.Miner, types.ReportRate{Miner: m.Miner, UsedUntil: left.UsedUntil, EmptyUntil: left.EmptyUntil})
}

// tally reads a number that holds a window of time and how often something happened in it: the window's first number, and
// the count so far, which is 0 if last is of another window.
func tally(last uint64, window int64) (first, count uint64) {
	first = uint64(window) << countBits
	if last>>countBits<<countBits == first {
		count = last - first
	}
	return first, count
}

// Report takes a miner's batch, which is a sign of life whatever it says. Each
// report is judged by itself: the good ones take effect, the bad ones leave no
// trace but the code of their answer, also if all are bad. What a code means is
// for the reader to say: answers are consensus data.
func (k *Keeper) Report(ctx context.Context, m *types.MsgReportVM) ([]types.ReportResult, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.offers.Seen(ctx, m.Miner); err != nil {
		return nil, err
	}
	sctx := sdk.UnwrapSDKContext(ctx)
	results := make([]types.ReportResult, len(m.Reports))
	bad := 0
	for i, r := range m.Reports {
		results[i].VmId = r.VmId
		used := storetypes.NewInfiniteGasMeter()
		branch, write := sctx.WithGasMeter(used).CacheContext()
		err := noRoom(k.report(branch, p, m.Miner, r)) //nolint:contextcheck // the branch is made of ctx
		sctx.GasMeter().ConsumeGas(min(used.GasConsumed(), maxReportGas), "report")
		if err != nil {
			results[i].Codespace, results[i].Code, _ = errorsmod.ABCIInfo(err, false)
			sctx.Logger().Debug("report refused", "miner", m.Miner, "vm", r.VmId, "error", err)
			bad++
			continue
		}
		write()
	}
	emit(ctx, types.EventReported,
		sdk.NewAttribute(types.AttributeMiner, m.Miner),
		sdk.NewAttribute(types.AttributeCount, strconv.Itoa(len(m.Reports))),
		sdk.NewAttribute(types.AttributeRefused, strconv.Itoa(bad)))
	return results, nil
}

// report applies one report.
func (k *Keeper) report(ctx context.Context, p types.Params, miner string, r types.VMReport) error {
	if err := r.Validate(); err != nil {
		return err
	}
	v, err := k.VM(ctx, r.VmId)
	if err != nil {
		return err
	}
	if err := mayReport(&v, miner, r); err != nil {
		return err
	}
	if overtaken(&v, r) {
		return nil
	}
	old := v
	v.Status.ObservedGeneration = max(v.Status.ObservedGeneration, r.ObservedGeneration)
	v.Status.ObservedRebootSeq = max(v.Status.ObservedRebootSeq, r.ObservedRebootSeq)

	ev, w := eventOf(&v, r), why{}
	w.reason, w.message = v.Core().Status.Reported(r.Phase.Core(), r.Reason, r.Message)
	if r.Phase.Core() == vm.Stopped && ev == vm.ReportFailed {
		w.reason = cmp.Or(w.reason, vm.ReasonGuestShutdown)
	}
	switch {
	case ev != vm.ReportFailed || v.Ended():
	case v.Status.HasData:
		if err := k.startFailed(ctx, p, &v); err != nil {
			return err
		}
	default:
		if w, err = k.failAttempt(ctx, p, &v, w); err != nil {
			return err
		}
	}
	if err := k.step(ctx, &v, ev, vm.Miner, w, 0); err != nil {
		return err
	}
	switch v.Status.Phase.Core() { //nolint:exhaustive // the rest needs nothing more
	case vm.Running, vm.Rebooting:
		return k.reportedOn(ctx, p, &old, v, r)
	case vm.Provisioning:
		if stalled(&v) && !stalled(&old) {
			hurry(ctx, p, &v)
		}
		if err := k.reportedComing(ctx, p, &v, r.Reason); err != nil {
			return err
		}
	case vm.Stopped:
		return k.reportedStopped(ctx, p, &old, v)
	case vm.Failed:
		return k.reportedFailed(ctx, p, &old, v)
	case vm.Terminated:
		if err := k.finish(ctx, &v); err != nil {
			return err
		}
	}
	return k.save(ctx, &old, v)
}

// mayReport wants the miner that holds the VM to speak of its present instance.
func mayReport(v *types.VM, miner string, r types.VMReport) error {
	switch {
	case v.Status.Miner != miner:
		return types.ErrNotHolder.Wrapf("miner %s does not hold VM %s; it keeps nothing of it", miner, v.Id)
	case r.InstanceSeq != v.Status.InstanceSeq:
		return types.ErrOldInstance.Wrapf("VM %s is at instance %d; the report is of instance %d", v.Id, v.Status.InstanceSeq, r.InstanceSeq)
	case r.ObservedGeneration > v.Generation:
		return types.ErrBadReport.Wrapf("generation %d of VM %s was observed; the newest is %d", r.ObservedGeneration, v.Id, v.Generation)
	case r.SizeGeneration > v.Generation:
		return types.ErrBadReport.Wrapf("the size of generation %d of VM %s is said to be in effect; the newest is %d", r.SizeGeneration, v.Id, v.Generation)
	case r.Reason == vm.ReasonCreditRunOut && v.Status.Reason != r.Reason:
		return types.ErrBadReport.Wrapf("reason %s is the chain's; VM %s is %s for reason %q", r.Reason, v.Id, v.Status.Phase.Core(), v.Status.Reason)
	case r.ObservedRebootSeq > v.Spec.RebootSeq:
		return types.ErrBadReport.Wrapf("reboot %d of VM %s was observed; the last asked for is %d", r.ObservedRebootSeq, v.Id, v.Spec.RebootSeq)
	}
	return nil
}

// overtaken tells a report from before the tenant's order to start the VM: it
// was off then, or had failed, and that is no shutdown from inside, nor a start that failed. The miner reports again
// once it has seen the order.
func overtaken(v *types.VM, r types.VMReport) bool {
	p := r.Phase.Core()
	return (p == vm.Stopped || p == vm.Failed) && v.Spec.Power == types.Power_POWER_ON && r.ObservedGeneration < v.Generation
}

// eventOf is what a report says. A miner that sees the VM running, but has not
// carried out the request to reboot or resize it, reports what was before the request. One that says that a VM without data, which is to
// be on, is off has failed it: by its word alone nobody knows that a guest was there to shut down.
func eventOf(v *types.VM, r types.VMReport) vm.Event {
	before := r.ObservedRebootSeq < v.Spec.RebootSeq || v.Core().Resizing(r.SizeGeneration)
	if before && v.Status.Phase.Core() == vm.Rebooting && r.Phase.Core() == vm.Running {
		return vm.ReportRebooting
	}
	ev, _ := vm.ReportOf(r.Phase.Core()) // Validate saw that there is one
	if ev == vm.ReportStopped && !v.Status.HasData && v.Spec.Power == types.Power_POWER_ON {
		return vm.ReportFailed
	}
	return ev
}

// reportedComing takes the host's word that it starts a VM, unless it says in the same breath why it cannot yet.
func (k *Keeper) reportedComing(ctx context.Context, p types.Params, v *types.VM, reason string) error {
	if !vm.Starts(reason) {
		return nil
	}
	if err := attest(v, func(a *vm.Attestation, _ uint64) error { a.Boot(now(ctx)); return nil }); err != nil {
		return err
	}
	return k.silence(ctx, p, v)
}

// reportedOn takes the guest's proof of a VM that is up, or the host's word where there is no agent.
func (k *Keeper) reportedOn(ctx context.Context, p types.Params, old *types.VM, v types.VM, r types.VMReport) error {
	at := now(ctx)
	if v.Spec.Agent != types.AgentMode_AGENT_MODE_NONE {
		if r.Proof == nil {
			if err := k.silence(ctx, p, &v); err != nil {
				return err
			}
			return k.save(ctx, old, v)
		}
		var err error
		if at, err = k.prove(ctx, p, &v, r.Proof); err != nil {
			return err
		}
	}
	if err := k.attestRunning(ctx, p, &v, at); err != nil {
		return err
	}
	// What was attested up to here was of the size before.
	if err := k.takeEffect(ctx, &v, r.SizeGeneration); err != nil {
		return err
	}
	return k.save(ctx, old, v)
}

// reportedStopped: off by the tenant's order, or shut down from inside, which counts as one.
func (k *Keeper) reportedStopped(ctx context.Context, p types.Params, old *types.VM, v types.VM) error {
	if v.Spec.Power == types.Power_POWER_ON {
		powerOff(&v)
		if v.Status.Reason == "" {
			v.Status.Reason = vm.ReasonGuestShutdown
		}
	}
	if err := k.attestDisk(ctx, p, &v); err != nil {
		return err
	}
	return k.save(ctx, old, v)
}

// reportedFailed: with data the VM stays where its data is, and its disk is charged; without, the miner
// lets go of it and the next is tried, if any attempt is left.
func (k *Keeper) reportedFailed(ctx context.Context, p types.Params, old *types.VM, v types.VM) error {
	if v.Core().KeepsDisk() {
		if err := k.attestDisk(ctx, p, &v); err != nil {
			return err
		}
	}
	if v.Status.HasData {
		return k.save(ctx, old, v)
	}
	return k.nextMiner(ctx, p, old, v)
}

// nextMiner takes a VM that failed before it had data from its miner, and has the next one tried if any attempt is left.
func (k *Keeper) nextMiner(ctx context.Context, p types.Params, old *types.VM, v types.VM) error {
	v.Status.Miner = ""
	if v.Spec.Power != types.Power_POWER_ON || spent(p, &v) {
		return k.save(ctx, old, v)
	}
	if err := k.step(ctx, &v, vm.Retry, vm.Chain, why{v.Status.Reason, v.Status.Message}, 0); err != nil {
		return err
	}
	if err := k.enqueue(ctx, v.Id, ready); err != nil {
		return err
	}
	return k.save(ctx, old, v)
}

// remember that the VM's miner failed it.
func remember(v *types.VM) {
	miner := v.Status.Miner
	if slices.Contains(v.Status.Excluded, miner) {
		return
	}
	v.Status.Excluded = append(slices.Clone(v.Status.Excluded), miner)
	if over := len(v.Status.Excluded) - maxExcluded; over > 0 {
		v.Status.Excluded = v.Status.Excluded[over:]
	}
}
