package keeper

import (
	"context"
	"errors"
	"strconv"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// why a phase changed: the code of a reason, and what the miner says of it. The
// chain's own reasons have no message: clients put them into words.
type why struct{ reason, message string }

// step moves a VM to the phase that follows an event, without saving it. What
// was attested up to a time is charged when the attestation ends with the
// step; until 0 ends it at the last proof.
func (k *Keeper) step(ctx context.Context, v *types.VM, ev vm.Event, by vm.Actor, w why, until int64) error {
	from := v.Status.Phase.Core()
	to, err := vm.Next(v.Core().State(), ev, by)
	if err != nil {
		return phaseError(v, ev, err)
	}
	rebuilt := ev == vm.Rebuild
	keeps := to == from || from == vm.Running && to == vm.Rebooting || from == vm.Rebooting && to == vm.Running
	if !keeps || rebuilt {
		if rebuilt || !comesUp(v, from) || !comesUp(v, to) {
			if err := k.endAttestation(ctx, v, until); err != nil {
				return err
			}
			if !v.Status.Attestation.Proven && comesUp(v, from) && to == vm.Stopping { // which is no host's to say
				v.Status.Attestation.Unproven = true // stopped by turns it would run for nothing
			}
		}
		if from.On() || to == vm.Provisioning {
			// What the guest signed before this block was known belongs to the run before.
			v.Status.Attestation.ProofHeight = max(v.Status.Attestation.ProofHeight, height(ctx)-1)
		}
	}
	if to.On() && !from.On() {
		if err := attest(v, func(a *vm.Attestation, _ uint64) error { a.Begin(now(ctx)); return nil }); err != nil {
			return err
		}
	}
	if to == from && v.Status.Reason == w.reason && v.Status.Message == w.message {
		return nil
	}
	v.Status.Phase, v.Status.Reason, v.Status.Message = types.PhaseOf(to), w.reason, w.message
	if to == from {
		return nil
	}
	v.Status.PhaseSince = now(ctx)
	if to == vm.Provisioning && (v.Status.BegunAt == 0 || ev.By() != vm.Miner || from == vm.Assigned) {
		v.Status.BegunAt = now(ctx)
	}
	if err := k.setDeadline(ctx, v, to); err != nil {
		return err
	}
	emit(ctx, types.EventVMPhase,
		sdk.NewAttribute(types.AttributeVM, v.Id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner),
		sdk.NewAttribute(types.AttributeMiner, v.Status.Miner),
		sdk.NewAttribute(types.AttributeFrom, from.String()),
		sdk.NewAttribute(types.AttributePhase, to.String()),
		sdk.NewAttribute(types.AttributeReason, w.reason),
		sdk.NewAttribute(types.AttributeInstance, strconv.FormatUint(uint64(v.Status.InstanceSeq), 10)),
		sdk.NewAttribute(types.AttributeGeneration, strconv.FormatUint(v.Generation, 10)))
	return nil
}

// comesUp reports whether a phase is one of a start that was not proven yet: what its host says of it is of one run until then.
func comesUp(v *types.VM, p vm.Phase) bool {
	return v.Status.BegunAt != 0 && (p == vm.Provisioning || p.On())
}

func phaseError(v *types.VM, ev vm.Event, err error) error {
	var pe *vm.PhaseError
	if !errors.As(err, &pe) {
		return err
	}
	if ev.By() == vm.Miner {
		return types.ErrBadTransition.Wrapf("VM %s: %s", v.Id, pe)
	}
	return types.ErrWrongPhase.Wrapf("VM %s: %s", v.Id, pe)
}

// powerOff has a VM be off; a new generation of its spec.
func powerOff(v *types.VM) {
	if v.Spec.Power != types.Power_POWER_OFF {
		v.Spec.Power = types.Power_POWER_OFF
		v.Generation++
	}
}
