package keeper

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

func byTenant() why { return why{reason: vm.ReasonTenant} }

// Start turns a stopped VM on, on the same host; one that failed, or hung until it was stopped, before it had data is placed anew.
func (k *Keeper) Start(ctx context.Context, owner, id string) error {
	v, err := k.owned(ctx, owner, id)
	if err != nil {
		return err
	}
	if v.Status.Phase.Core() == vm.Failed && v.Status.Miner == "" && v.Status.HasData {
		return types.ErrWrongPhase.Wrapf("the disk of VM %s is lost with its host: rebuild the VM, or terminate it", id)
	}
	old, ev, by := v, vm.Start, vm.Tenant
	if leaves(&v) {
		ev, by = vm.Unassign, vm.Chain
	}
	if err := k.step(ctx, &v, ev, by, byTenant(), now(ctx)); err != nil {
		return err
	}
	if err := k.catalogue.RequireStart(ctx, owner); err != nil {
		return err
	}
	v.Spec.Power = types.Power_POWER_ON
	v.Generation++
	again(&v)
	if v.Status.Phase.Core() == vm.Pending {
		v.Status.Miner = ""
		if err := k.enqueue(ctx, id, ready); err != nil {
			return err
		}
	}
	return noRoom(k.requested(ctx, &old, v, "start"))
}

// noRoom tells, of an order that a VM's host lacks the capacity for, that a stopped VM holds none.
func noRoom(err error) error {
	return lacking(err, types.ErrNoRoomOnHost, "a stopped VM holds its disk only: start it when its host has room, or choose a smaller plan")
}

// lacking gives an order that a VM's host lacks the capacity for an error of this module, with what to do. Any other err stays.
func lacking(err error, as *errorsmod.Error, advice string) error {
	if !errors.Is(err, registrytypes.ErrNoCapacity) {
		return err
	}
	return as.Wrapf("%s; %s", strings.TrimSuffix(err.Error(), ": "+registrytypes.ErrNoCapacity.Error()), advice)
}

// Stop turns a VM off; its charge ends with this block.
func (k *Keeper) Stop(ctx context.Context, owner, id string) error {
	v, err := k.owned(ctx, owner, id)
	if err != nil {
		return err
	}
	old := v
	if err := k.step(ctx, &v, vm.Stop, vm.Tenant, byTenant(), now(ctx)); err != nil {
		return err
	}
	if err := k.excludeHung(ctx, &old, &v); err != nil {
		return err
	}
	v.Spec.Power = types.Power_POWER_OFF
	v.Generation++
	return k.requested(ctx, &old, v, "stop")
}

// Reboot restarts a running VM's guest.
func (k *Keeper) Reboot(ctx context.Context, owner, id string) error {
	v, err := k.owned(ctx, owner, id)
	if err != nil {
		return err
	}
	old := v
	if err := k.step(ctx, &v, vm.Reboot, vm.Tenant, byTenant(), now(ctx)); err != nil {
		return err
	}
	v.Spec.RebootSeq++
	v.Generation++
	return k.requested(ctx, &old, v, "reboot")
}

// Rename gives a VM another name.
func (k *Keeper) Rename(ctx context.Context, m *types.MsgRenameVM) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	v, err := k.owned(ctx, m.Owner, m.VmId)
	if err != nil {
		return err
	}
	if v.Ended() {
		return types.ErrWrongPhase.Wrapf("VM %s is %s; it has no name any more", v.Id, v.Status.Phase.Core())
	}
	if err := k.checkName(ctx, m.Owner, m.Name); err != nil {
		return err
	}
	old := v
	if err := k.names.Remove(ctx, collections.Join(m.Owner, v.Spec.Name)); err != nil {
		return err
	}
	if err := k.names.Set(ctx, collections.Join(m.Owner, m.Name), v.Id); err != nil {
		return err
	}
	v.Spec.Name = m.Name
	v.Generation++
	return k.requested(ctx, &old, v, "rename")
}

// Terminate ends a VM in any phase. Its name, keys and charge are free at once;
// what its miner holds when the miner confirms.
func (k *Keeper) Terminate(ctx context.Context, owner, id string) error {
	v, err := k.owned(ctx, owner, id)
	if err != nil {
		return err
	}
	return k.end(ctx, v, vm.Terminate, vm.Tenant, byTenant())
}

// end terminates a VM by an event.
func (k *Keeper) end(ctx context.Context, v types.VM, ev vm.Event, by vm.Actor, w why) error {
	old, owner := v, v.Owner
	if err := k.step(ctx, &v, ev, by, w, now(ctx)); err != nil {
		return err
	}
	if err := k.excludeHung(ctx, &old, &v); err != nil {
		return err
	}
	if old.Core().Off() {
		v.Spec.Power = types.Power_POWER_OFF // so that ending it takes no room
	}
	v.Generation++
	v.RemovedKeys = nil
	if err := k.dequeue(ctx, v.Id); err != nil {
		return err
	}
	if err := k.names.Remove(ctx, collections.Join(owner, v.Spec.Name)); err != nil {
		return err
	}
	if err := k.useKeys(ctx, owner, v.Spec.SshKeys, -1); err != nil {
		return err
	}
	if err := k.revokeInstance(ctx, &v); err != nil { // those before it were revoked when they were left
		return err
	}
	if v.Status.Phase.Core() == vm.Terminated {
		if err := k.finish(ctx, &v); err != nil {
			return err
		}
	}
	if err := k.requested(ctx, &old, v, "terminate"); err != nil {
		return err
	}
	return k.meters.RemoveVM(ctx, owner, v.Core().HeldRate())
}

// fence blocks the mesh certificate of the instance that the VM's present miner holds.
func (k *Keeper) fence(ctx context.Context, v *types.VM) error {
	in, err := k.instance(ctx, v.Id, v.Status.InstanceSeq)
	if err != nil {
		return err
	}
	return k.mesh.RevokeInstances(ctx, v.Owner, [][]byte{in.MeshCertFingerprint})
}

// finish makes a terminated VM a tombstone, held by nobody.
func (k *Keeper) finish(ctx context.Context, v *types.VM) error {
	host, err := k.hostNumber(ctx, v.Owner, v.Spec.MeshAddress)
	if err != nil {
		return err
	}
	if err := k.addresses.Remove(ctx, collections.Join(v.Owner, host)); err != nil {
		return err
	}
	if err := k.live.Remove(ctx, collections.Join(v.Owner, v.Id)); err != nil {
		return err
	}
	if err := k.mesh.VMRemoved(ctx, v.Owner); err != nil {
		return err
	}
	if err := k.releaseCommittees(ctx, v.Id); err != nil {
		return err
	}
	v.Status.Miner, v.Status.Deadline, v.TerminatedAt = "", 0, now(ctx)
	return k.tombstones.Set(ctx, collections.Join(v.TerminatedAt, v.Id))
}

// requested saves what a tenant asked for and says so.
func (k *Keeper) requested(ctx context.Context, old *types.VM, v types.VM, operation string) error {
	emit(ctx, types.EventVMRequested,
		sdk.NewAttribute(types.AttributeVM, v.Id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner),
		sdk.NewAttribute(types.AttributeMiner, old.Status.Miner),
		sdk.NewAttribute(types.AttributeOperation, operation),
		sdk.NewAttribute(types.AttributePhase, v.Status.Phase.Core().String()),
		sdk.NewAttribute(types.AttributeGeneration, strconv.FormatUint(v.Generation, 10)))
	return k.save(ctx, old, v)
}

// AfterRunOut is x/marketplace's hook: the account's credit came down to its
// hold-back, so all its VMs stop, lowest priority first, disks kept. What waits
// to be placed fails. The tenant starts them again when there is credit.
func (k *Keeper) AfterRunOut(ctx context.Context, account string) error {
	var vms []types.VM
	err := k.walkLive(ctx, account, func(id string) error {
		v, err := k.VM(ctx, id)
		vms = append(vms, v)
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(vms, func(a, b types.VM) int {
		return cmp.Or(cmp.Compare(a.Spec.Priority, b.Spec.Priority), cmp.Compare(a.Id, b.Id))
	})
	for _, v := range vms {
		if err := k.runOut(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// AfterSpent is x/marketplace's hook: the credit held back for the account's disks is spent, so what miners still keep of it
// is terminated.
func (k *Keeper) AfterSpent(ctx context.Context, account string) error {
	return k.walkLive(ctx, account, func(id string) error {
		v, err := k.VM(ctx, id)
		if err != nil || v.Ended() || v.Status.Miner == "" {
			return err
		}
		return k.end(ctx, v, vm.EndUnpaid, vm.Chain, why{reason: vm.ReasonUnpaid})
	})
}

func (k *Keeper) runOut(ctx context.Context, v types.VM) error {
	if p := v.Status.Phase.Core(); p == vm.Failed && v.Spec.Power == types.Power_POWER_OFF {
		return nil
	}
	old := v
	err := k.step(ctx, &v, vm.RunOut, vm.Chain, why{reason: vm.ReasonCreditRunOut}, now(ctx))
	if errors.Is(err, types.ErrWrongPhase) {
		return nil // it costs nothing to run as it is
	}
	if err != nil {
		return err
	}
	if err := k.excludeHung(ctx, &old, &v); err != nil {
		return err
	}
	powerOff(&v)
	if v.Status.Phase.Core() == vm.Failed {
		v.Status.Miner = ""
		if err := k.dequeue(ctx, v.Id); err != nil {
			return err
		}
	}
	return k.save(ctx, &old, v)
}
