package keeper

import (
	"context"
	"strconv"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

// Resize orders the size of another plan, at today's price, and tells whether
// the VM is restarted for it. The capacity and the hold-back for the larger of both
// sizes are taken at once; what is in effect, and charged, changes when the
// VM's miner says so. A disk keeps its size where the plan's is smaller.
func (k *Keeper) Resize(ctx context.Context, m *types.MsgResizeVM) (restart bool, err error) {
	if err := m.ValidateBasic(); err != nil {
		return false, err
	}
	v, err := k.owned(ctx, m.Owner, m.VmId)
	if err != nil {
		return false, err
	}
	old := v
	chosen, err := k.catalogue.Plan(ctx, m.Plan)
	if err != nil {
		return false, err
	}
	size := chosen.Core().Keeping(v.Core().WantedSize().DiskGiB)
	running, stopped, err := k.catalogue.Price(ctx, size)
	if err != nil {
		return false, err
	}
	restart = plan.NeedsRestart(v.Size_.Core(), size)
	up := v.Status.Phase.Core() == vm.Running
	if err := k.stepResize(ctx, &v, restart && up); err != nil {
		return false, err
	}
	if v.Resize == nil && v.Size_.Core() == size && running == v.RunningRate && stopped == v.StoppedRate {
		return false, types.ErrSameSize.Wrapf("VM %s has the size of plan %q already, and its price", v.Id, m.Plan)
	}
	if running > v.RunningRate || stopped > v.StoppedRate {
		if err := k.catalogue.RequireCreate(ctx, m.Owner); err != nil {
			return false, err
		}
	}
	v.Spec.Plan = m.Plan
	v.Generation++
	v.Resize = &types.Resize{Generation: v.Generation, Size_: types.SizeOf(size), RunningRate: running, StoppedRate: stopped, Restart: restart}
	if err := k.meters.ResizeVM(ctx, m.Owner, old.Core().HeldRate(), v.Core().HeldRate()); err != nil {
		return false, err
	}
	err = k.requested(ctx, &old, v, "resize")
	err = lacking(err, types.ErrHostFull, "a VM stays where its disk is: choose a smaller plan, or create another VM")
	return err == nil && restart && up, err
}

// stepResize moves a VM that is restarted; one that is not stays what it is, for the reason it is.
func (k *Keeper) stepResize(ctx context.Context, v *types.VM, restarts bool) error {
	if restarts {
		return k.step(ctx, v, vm.ResizeRestart, vm.Tenant, why{reason: vm.ReasonResize}, now(ctx))
	}
	return k.step(ctx, v, vm.Resize, vm.Tenant, why{v.Status.Reason, v.Status.Message}, now(ctx))
}

// takeEffect puts an ordered resize into effect if the VM runs with the size of
// its generation: from here on its rates are charged.
func (k *Keeper) takeEffect(ctx context.Context, v *types.VM, generation uint64) error {
	r := v.Resize
	if r == nil || generation < r.Generation || v.Status.Phase.Core() != vm.Running {
		return nil
	}
	held := v.Core().HeldRate()
	v.Size_, v.RunningRate, v.StoppedRate, v.Resize = r.Size_, r.RunningRate, r.StoppedRate, nil
	emit(ctx, types.EventVMResized,
		sdk.NewAttribute(types.AttributeVM, v.Id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner),
		sdk.NewAttribute(types.AttributeMiner, v.Status.Miner),
		sdk.NewAttribute(types.AttributePlan, v.Spec.Plan),
		sdk.NewAttribute(types.AttributeRate, strconv.FormatUint(v.RunningRate, 10)),
		sdk.NewAttribute(types.AttributeAt, strconv.FormatInt(v.Status.Attestation.LastAt, 10)))
	return k.meters.ResizeVM(ctx, v.Owner, held, v.Core().HeldRate())
}
