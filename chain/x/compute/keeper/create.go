package keeper

import (
	"context"
	"net/netip"
	"strings"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	marketplacetypes "github.com/hippius/compute/chain/x/marketplace/types"
	"github.com/hippius/compute/core/vm"
)

// maxNamedRegions bounds the regions an error lists.
const maxNamedRegions = 20

// Create accepts a new VM, whose rates and size are those of now, and queues
// it for placement at the end of the block. Everything is checked before
// anything is changed.
func (k *Keeper) Create(ctx context.Context, m *types.MsgCreateVM) (string, error) {
	if err := m.ValidateBasic(); err != nil {
		return "", err
	}
	derived, err := vm.NewID(m.Owner, m.Nonce)
	if err != nil {
		return "", types.ErrInvalid.Wrap(err.Error())
	}
	id := string(derived)
	if has, err := k.vms.Has(ctx, id); err != nil {
		return "", err
	} else if has {
		return "", types.ErrVMExists.Wrapf("VM %s exists; use another nonce for another VM", id)
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return "", err
	}
	plan, image, err := k.choose(ctx, m.Spec)
	if err != nil {
		return "", err
	}
	if err := k.checkPlaces(ctx, m.Spec); err != nil {
		return "", err
	}
	for _, name := range m.Spec.SshKeys {
		if _, err := k.key(ctx, m.Owner, name); err != nil {
			return "", err
		}
	}
	if err := k.checkName(ctx, m.Owner, m.Spec.Name); err != nil {
		return "", err
	}
	host, err := k.checkAddress(ctx, m.Owner, m.Spec.MeshAddress)
	if err != nil {
		return "", err
	}
	if err := k.checkCount(ctx, m.Owner, p.MaxVmsPerAccount); err != nil {
		return "", err
	}
	if err := k.catalogue.RequireCreate(ctx, m.Owner); err != nil {
		return "", err
	}
	if err := k.checkReceipts(ctx, m.Owner, id, m.Instances); err != nil {
		return "", err
	}
	running, stopped, err := k.catalogue.Price(ctx, plan.Core().Size)
	if err != nil {
		return "", err
	}

	v := types.VM{
		Id: id, Owner: m.Owner, Nonce: m.Nonce, Spec: m.Spec, Generation: 1, CreatedAt: now(ctx),
		RunningRate: running, StoppedRate: stopped, Size_: types.SizeOf(plan.Core().Size), Arch: image.Arch,
		Status: types.VMStatus{Phase: types.PhaseOf(vm.Pending), PhaseSince: now(ctx)},
	}
	v.Spec.Power = types.Power_POWER_ON
	if v.Spec.Agent == types.AgentMode_AGENT_MODE_UNSPECIFIED {
		v.Spec.Agent = types.AgentMode_AGENT_MODE_GUEST
	}
	if v.Spec.OnSilence == types.OnSilence_ON_SILENCE_UNSPECIFIED {
		v.Spec.OnSilence = types.OnSilence_ON_SILENCE_REBOOT
	}
	if err := k.putNew(ctx, v, host, m.Instances); err != nil {
		return "", err
	}
	emit(ctx, types.EventVMCreated,
		sdk.NewAttribute(types.AttributeVM, id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner),
		sdk.NewAttribute(types.AttributeName, v.Spec.Name),
		sdk.NewAttribute(types.AttributePhase, v.Status.Phase.Core().String()))
	return id, nil
}

// putNew keeps a new VM, everything that counts it, and its place in the queue.
func (k *Keeper) putNew(ctx context.Context, v types.VM, host uint32, instances []types.Instance) error {
	if err := k.index(ctx, v, host); err != nil {
		return err
	}
	if err := k.putInstances(ctx, v.Id, instances); err != nil {
		return err
	}
	if err := k.holdCommittees(ctx, v.Id, instances); err != nil {
		return err
	}
	if err := k.useKeys(ctx, v.Owner, v.Spec.SshKeys, 1); err != nil {
		return err
	}
	if err := k.mesh.VMAdded(ctx, v.Owner); err != nil {
		return err
	}
	if err := k.enqueue(ctx, v.Id, ready); err != nil {
		return err
	}
	if err := k.save(ctx, nil, v); err != nil {
		return err
	}
	return k.meters.AddVM(ctx, v.Owner, v.StoppedRate)
}

// index puts a VM that is not terminated into the indexes of its owner.
func (k *Keeper) index(ctx context.Context, v types.VM, host uint32) error {
	key := collections.Join(v.Owner, v.Id)
	if err := k.owners.Set(ctx, key); err != nil {
		return err
	}
	if err := k.live.Set(ctx, key); err != nil {
		return err
	}
	if err := k.addresses.Set(ctx, collections.Join(v.Owner, host), v.Id); err != nil {
		return err
	}
	if v.Ended() {
		return nil
	}
	return k.names.Set(ctx, collections.Join(v.Owner, v.Spec.Name), v.Id)
}

// choose finds the plan and the image, and that applications and disk fit them.
func (k *Keeper) choose(ctx context.Context, s types.VMSpec) (plan marketplacetypes.Plan, image marketplacetypes.Image, err error) {
	if plan, err = k.catalogue.Plan(ctx, s.Plan); err != nil {
		return plan, image, err
	}
	if image, err = k.chooseImage(ctx, s.Image, s.Apps); err != nil {
		return plan, image, err
	}
	if !fits(image, plan.DiskGib) {
		return plan, image, types.ErrImageTooLarge.Wrapf("image %q needs a disk of %d GiB; plan %q has %d: choose a larger plan",
			image.Name, diskOf(image), plan.Name, plan.DiskGib)
	}
	return plan, image, nil
}

// chooseImage finds an image that the applications work on.
func (k *Keeper) chooseImage(ctx context.Context, name string, apps []string) (marketplacetypes.Image, error) {
	image, err := k.catalogue.Image(ctx, name)
	if err != nil {
		return image, err
	}
	for _, name := range apps {
		app, err := k.catalogue.App(ctx, name)
		if err != nil {
			return image, err
		}
		if !app.Core().WorksOn(image.Name) {
			return image, types.ErrAppImage.Wrapf("application %q does not work on image %q; it works on %s", name, image.Name, strings.Join(app.Images, ", "))
		}
	}
	return image, nil
}

const gib = 1 << 30

// diskOf is the least disk an image needs, in GiB.
func diskOf(image marketplacetypes.Image) uint64 { return (image.VirtualSizeBytes + gib - 1) / gib }

func fits(image marketplacetypes.Image, diskGiB uint64) bool {
	return image.VirtualSizeBytes <= diskGiB*gib
}

// checkPlaces wants the region and the miners that are named to be there.
func (k *Keeper) checkPlaces(ctx context.Context, s types.VMSpec) error {
	for _, operator := range s.Miners {
		if _, err := k.offers.Miner(ctx, operator); err != nil {
			return types.ErrUnknownMiner.Wrapf("account %s runs no miner", operator)
		}
	}
	if s.Region == "" {
		return nil
	}
	has, err := k.registry.HasRegion(ctx, s.Region)
	if err != nil || has {
		return err
	}
	known, err := k.registry.Regions(ctx, maxNamedRegions)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		return types.ErrUnknownRegion.Wrapf("no active miner is in region %q, nor in any other", s.Region)
	}
	return types.ErrUnknownRegion.Wrapf("no active miner is in region %q; there are: %s", s.Region, strings.Join(known, ", "))
}

func (k *Keeper) checkName(ctx context.Context, owner, name string) error {
	has, err := k.names.Has(ctx, collections.Join(owner, name))
	if err != nil {
		return err
	}
	if has {
		return types.ErrNameTaken.Wrapf("the account has a VM named %q; choose another name", name)
	}
	return nil
}

// checkAddress wants a free VM address of the owner's block and returns its host number.
func (k *Keeper) checkAddress(ctx context.Context, owner, text string) (uint32, error) {
	host, err := k.hostNumber(ctx, owner, text)
	if err != nil {
		return 0, err
	}
	holder, err := k.addresses.Has(ctx, collections.Join(owner, host))
	if err != nil {
		return 0, err
	}
	if holder {
		return 0, types.ErrAddressTaken.Wrapf("mesh address %s belongs to another VM of the account, or to one whose miner has not confirmed its end; choose another", text)
	}
	return host, nil
}

func (k *Keeper) hostNumber(ctx context.Context, owner, text string) (uint32, error) {
	block, err := k.mesh.Block(ctx, owner)
	if err != nil {
		return 0, err
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return 0, types.ErrAddress.Wrapf("mesh address %.64q is none", text)
	}
	host, err := block.VMHost(addr)
	if err != nil {
		return 0, types.ErrAddress.Wrap(err.Error())
	}
	return host, nil
}

func (k *Keeper) checkCount(ctx context.Context, owner string, limit uint32) error {
	count := uint32(0)
	err := k.names.Walk(ctx, collections.NewPrefixedPairRange[string, string](owner), func(ownerKey, string) (bool, error) {
		count++
		return count >= limit, nil
	})
	if err != nil {
		return err
	}
	if count >= limit {
		return types.ErrTooManyVMs.Wrapf("the account has %d VMs, as many as it may have; terminate one first", count)
	}
	return nil
}
