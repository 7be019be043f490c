package keeper

import (
	"context"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// Rebuild gives a VM a blank disk made from an image, on the host it is on, and
// returns the instance it comes up as. What was on the disk is given up, so a
// failure from here on may lead elsewhere. The next instance brings secrets of
// its own: what could be read on the old disk opens nothing of the new, and the
// old mesh certificate is revoked. The charge so far ends with this block.
func (k *Keeper) Rebuild(ctx context.Context, m *types.MsgRebuildVM) (uint32, error) {
	if err := m.ValidateBasic(); err != nil {
		return 0, err
	}
	v, err := k.owned(ctx, m.Owner, m.VmId)
	if err != nil {
		return 0, err
	}
	old := v
	if err := k.endAttestation(ctx, &v, now(ctx)); err != nil { // also if it stays in its phase
		return 0, err
	}
	if err := k.step(ctx, &v, vm.Rebuild, vm.Tenant, byTenant(), now(ctx)); err != nil {
		return 0, err
	}
	if err := k.catalogue.RequireStart(ctx, m.Owner); err != nil {
		return 0, err
	}
	arch, err := k.checkRebuild(ctx, &v, m.Image)
	if err != nil {
		return 0, err
	}
	next := v.Status.InstanceSeq + 1
	dealt, err := k.instances.Has(ctx, collections.Join(v.Id, next))
	if err != nil {
		return 0, err
	}
	if !dealt {
		return 0, types.ErrInstances.Wrapf("VM %s has used up every instance that was dealt; deal instance %d first", v.Id, next)
	}
	if err := k.rekey(ctx, &v, m.SshKeys); err != nil {
		return 0, err
	}
	if err := k.revokeInstance(ctx, &v); err != nil {
		return 0, err
	}
	v.Spec.Image, v.Spec.Power, v.Arch = m.Image, types.Power_POWER_ON, arch
	v.Generation++
	again(&v)
	v.Status.HasData, v.Status.RebuildInstance, v.Status.BegunAt = false, next, now(ctx)
	// The charge begins with the new instance's first proof, or on its host's word if it gives none.
	v.Status.Attestation.Proven, v.Status.Attestation.Unproven = false, true
	if err := k.setDeadline(ctx, &v, v.Status.Phase.Core()); err != nil {
		return 0, err
	}
	if v.Status.Phase.Core() == vm.Pending {
		if err := k.enqueue(ctx, v.Id, ready); err != nil {
			return 0, err
		}
	} else {
		v.Status.InstanceSeq, v.Status.Attempts = next, 1
	}
	return next, noRoom(k.requested(ctx, &old, v, "rebuild"))
}

// checkRebuild wants an image that fits the VM as it is, and returns its architecture.
func (k *Keeper) checkRebuild(ctx context.Context, v *types.VM, name string) (string, error) {
	image, err := k.chooseImage(ctx, name, v.Spec.Apps)
	if err != nil {
		return "", err
	}
	if disk := v.Core().WantedSize().DiskGiB; !fits(image, disk) {
		return "", types.ErrImageTooLarge.Wrapf("image %q needs a disk of %d GiB; the VM has %d: resize it first", image.Name, diskOf(image), disk)
	}
	if v.Status.Miner != "" && image.Arch != v.Arch {
		return "", types.ErrImageArch.Wrapf("image %q is for %s; the VM's host is %s", image.Name, image.Arch, v.Arch)
	}
	return image.Arch, nil
}

// revokeInstance blocks the mesh certificate of the present instance, if there was one.
func (k *Keeper) revokeInstance(ctx context.Context, v *types.VM) error {
	if v.Status.InstanceSeq == 0 {
		return nil
	}
	in, err := k.instance(ctx, v.Id, v.Status.InstanceSeq)
	if err != nil {
		return err
	}
	return k.mesh.RevokeInstances(ctx, v.Owner, [][]byte{in.MeshCertFingerprint})
}
