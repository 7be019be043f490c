package keeper

import (
	"context"
	"errors"
	"strconv"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/core/vm"
)

// prove checks a guest's proof and returns the time it attests: that of the block it signs.
func (k *Keeper) prove(ctx context.Context, p types.Params, v *types.VM, proof *types.ProofReport) (int64, error) {
	if proof.Height <= v.Status.Attestation.ProofHeight {
		return 0, types.ErrStaleProof.Wrapf("the proof signs block %d; only blocks after %d count now", proof.Height, v.Status.Attestation.ProofHeight)
	}
	head, err := k.heads.Get(ctx, proof.Height)
	if errors.Is(err, collections.ErrNotFound) || err == nil && now(ctx)-head.Time > int64(p.ProofMaxAgeSeconds) {
		return 0, types.ErrStaleProof.Wrapf("the proof signs block %d; only blocks of the last %d seconds count", proof.Height, p.ProofMaxAgeSeconds)
	}
	if err != nil {
		return 0, err
	}
	in, err := k.instance(ctx, v.Id, v.Status.InstanceSeq)
	if err != nil {
		return 0, err
	}
	sctx := sdk.UnwrapSDKContext(ctx)
	sctx.GasMeter().ConsumeGas(receiptGas, "guest proof")
	if !vm.VerifyProof(in.GuestKey, sctx.ChainID(), vm.ID(v.Id), v.Status.InstanceSeq, head.Height, head.Hash, proof.Signature) {
		return 0, types.ErrBadProof.Wrapf("the proof is not instance %d's signature of block %d", v.Status.InstanceSeq, proof.Height)
	}
	v.Status.Attestation.ProofHeight = proof.Height
	return head.Time, nil
}

// attest changes a VM's attestation by a rule of core/vm, at the rate that is charged now.
func attest(v *types.VM, rule func(a *vm.Attestation, rate uint64) error) error {
	a := v.Status.Attestation.Core()
	rate := v.RunningRate
	if a.Disk {
		rate = v.StoppedRate
	} else if v.Resize != nil && !a.Proven { // it may run with either size: nobody proves which
		rate = max(rate, v.Resize.RunningRate)
	}
	if err := rule(&a, rate); err != nil {
		return types.ErrAttestation.Wrapf("VM %s: %s", v.Id, err)
	}
	v.Status.Attestation = types.AttestationOf(a)
	return nil
}

// attestRunning notes that the guest was alive at a time. The first such time of a run makes it ready, and ends the start.
func (k *Keeper) attestRunning(ctx context.Context, p types.Params, v *types.VM, at int64) error {
	if err := attest(v, func(a *vm.Attestation, rate uint64) error { return a.Prove(p.Rules(), at, rate) }); err != nil {
		return err
	}
	if v.Status.ReadyAt != 0 && v.Status.BegunAt == 0 {
		return k.countProven(ctx, p, v, at)
	}
	v.Status.ReadyAt, v.Status.BegunAt, v.Status.Attestation.InstanceSeq = at, 0, v.Status.InstanceSeq
	if !v.Status.HasData {
		if err := k.cameUp(ctx, v); err != nil {
			return err
		}
	}
	again(v)
	v.Status.HasData = true
	v.Status.Deadline = now(ctx) + int64(p.HostGoneSeconds)
	emit(ctx, types.EventVMReady,
		sdk.NewAttribute(types.AttributeVM, v.Id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner),
		sdk.NewAttribute(types.AttributeMiner, v.Status.Miner),
		sdk.NewAttribute(types.AttributeAt, strconv.FormatInt(at, 10)))
	return nil
}

// attestDisk notes, on its host's word, that a stopped VM's disk is kept.
func (k *Keeper) attestDisk(ctx context.Context, p types.Params, v *types.VM) error {
	v.Status.Attestation.InstanceSeq = v.Status.InstanceSeq
	return attest(v, func(a *vm.Attestation, rate uint64) error { return a.Keep(p.Rules(), now(ctx), rate) })
}

// endAttestation ends what is attested, at a time up to which it was as before, if it was seen shortly before that; 0 for
// none. What follows is another run.
func (k *Keeper) endAttestation(ctx context.Context, v *types.VM, until int64) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	v.Status.ReadyAt = 0
	return attest(v, func(a *vm.Attestation, rate uint64) error { return a.End(p.Rules(), until, rate) })
}

// silence notes a report without a fresh proof, and acts once the guest was silent for too long.
func (k *Keeper) silence(ctx context.Context, p types.Params, v *types.VM) error {
	silent := false
	err := attest(v, func(a *vm.Attestation, rate uint64) error {
		a.Saw(p.Rules(), now(ctx))
		if silent = a.Silent(p.Rules()); silent {
			return a.ChargeSilence(p.Rules(), rate)
		}
		return nil
	})
	if err != nil || !silent {
		return err
	}
	if v.Status.ReadyAt == 0 { // on its host's word it is charged as if it were proven
		v.Status.ReadyAt, v.Status.Attestation.InstanceSeq = now(ctx), v.Status.InstanceSeq
	}
	if !v.Status.HasData || !v.Status.Phase.Core().On() {
		return nil // a deadline ends it
	}
	if v.Status.BegunAt == 0 && now(ctx)-wholeSince(v) >= int64(p.ProvenSeconds) {
		v.Status.ProvenInstance = v.Status.InstanceSeq // on trial no more, and no proof of the host's
	}
	action := v.Spec.OnSilence.Core()
	if action == vm.SilenceReboot && v.Status.Attestation.SilenceReboots > 0 {
		action = vm.SilenceStop
	}
	if action != vm.SilenceCharge {
		may, err := k.mayActOnSilence(ctx, p)
		if err != nil {
			return err
		}
		if !may {
			action = vm.SilenceCharge
		}
	}
	emit(ctx, types.EventVMSilent,
		sdk.NewAttribute(types.AttributeVM, v.Id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner),
		sdk.NewAttribute(types.AttributeMiner, v.Status.Miner),
		sdk.NewAttribute(types.AttributeOperation, action.String()))
	w := why{reason: vm.ReasonGuestSilent}
	switch action {
	case vm.SilenceReboot:
		v.Status.Attestation.SilenceReboots++
		v.Spec.RebootSeq++
		v.Generation++
		return k.step(ctx, v, vm.RebootSilent, vm.Chain, w, 0)
	case vm.SilenceStop:
		powerOff(v)
		return k.step(ctx, v, vm.StopSilent, vm.Chain, w, 0)
	case vm.SilenceCharge:
	}
	return nil
}

const (
	// hour in which silent VMs are counted, in seconds.
	hour = 3600
	// readyPerAction: of so many VMs that run one may be acted on in an hour.
	readyPerAction = 100
)

// mayActOnSilence counts a VM that is to be rebooted or stopped, unless too many were in this hour: what silences the
// guests of a whole network is no fault of theirs, and must not power them off.
func (k *Keeper) mayActOnSilence(ctx context.Context, p types.Params) (bool, error) {
	last, err := records.OrZero(k.silenceActions.Get(ctx))
	if err != nil {
		return false, err
	}
	ready, err := records.OrZero(k.ready.Get(ctx))
	if err != nil {
		return false, err
	}
	window, count := tally(last, now(ctx)/hour)
	if count >= max(uint64(p.MaxSilenceActions), ready/readyPerAction) {
		return false, nil
	}
	return true, k.silenceActions.Set(ctx, window+count+1)
}

// countReady keeps how many VMs run and are proven.
func (k *Keeper) countReady(ctx context.Context, old, v *types.VM) error {
	was, is := old.Status.ReadyAt != 0, v.Status.ReadyAt != 0
	if was == is {
		return nil
	}
	n, err := records.OrZero(k.ready.Get(ctx))
	if err != nil {
		return err
	}
	if is {
		return k.ready.Set(ctx, n+1)
	}
	return k.ready.Set(ctx, n-min(n, 1))
}
