package keeper

import (
	"context"
	"errors"
	"math"
	"strconv"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
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

// attestRunning notes that the guest was alive at a time: the first such time of a run
// makes it ready and begins the charge, each later one charges the interval in between.
func (k *Keeper) attestRunning(ctx context.Context, p types.Params, v *types.VM, at int64) error {
	a := &v.Status.Attestation
	if v.Status.ReadyAt == 0 {
		v.Status.ReadyAt, a.LastAt, a.InstanceSeq, a.Disk = at, at, v.Status.InstanceSeq, false
		emit(ctx, types.EventVMReady,
			sdk.NewAttribute(types.AttributeVM, v.Id),
			sdk.NewAttribute(types.AttributeOwner, v.Owner),
			sdk.NewAttribute(types.AttributeMiner, v.Status.Miner),
			sdk.NewAttribute(types.AttributeAt, strconv.FormatInt(at, 10)))
		return nil
	}
	if err := k.accrue(ctx, p, v, at); err != nil {
		return err
	}
	a.LastAt = max(a.LastAt, at)
	return nil
}

// attestDisk notes, on its host's word, that a stopped VM's disk is kept.
func (k *Keeper) attestDisk(ctx context.Context, p types.Params, v *types.VM) error {
	a := &v.Status.Attestation
	if a.Disk {
		if err := k.accrue(ctx, p, v, now(ctx)); err != nil {
			return err
		}
	}
	a.LastAt, a.InstanceSeq, a.Disk = now(ctx), v.Status.InstanceSeq, true
	return nil
}

// endAttestation charges what is attested up to a time, if that is close
// enough to the last proof, and forgets the rest: what follows is another run.
func (k *Keeper) endAttestation(ctx context.Context, v *types.VM, until int64) error {
	if until != 0 && (v.Status.ReadyAt != 0 || v.Status.Attestation.Disk) {
		p, err := k.params.Get(ctx)
		if err != nil {
			return err
		}
		if err := k.accrue(ctx, p, v, until); err != nil {
			return err
		}
	}
	a := &v.Status.Attestation
	v.Status.ReadyAt, a.LastAt, a.Disk = 0, 0, false
	return nil
}

// accrue charges from the last attested time to another.
func (k *Keeper) accrue(ctx context.Context, p types.Params, v *types.VM, to int64) error {
	a := &v.Status.Attestation
	seconds := vm.Attested(a.LastAt, to, int64(p.MaxProofGapSeconds))
	if seconds == 0 {
		return nil
	}
	rate := v.RunningRate
	if a.Disk {
		rate = v.StoppedRate
		a.StoppedSeconds += uint64(seconds)
	} else {
		a.RunningSeconds += uint64(seconds)
	}
	taken, err := k.meters.Accrue(ctx, v.Owner, v.Status.Miner, rate, a.LastAt, to)
	if err != nil {
		return err
	}
	a.ChargedUnits += min(taken, math.MaxUint64-a.ChargedUnits)
	return nil
}
