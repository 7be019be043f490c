package keeper

import (
	"context"
	"slices"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/mesh"
)

// AddDevice gives a tenant's device the lowest free device address of the block.
func (k *Keeper) AddDevice(ctx context.Context, m *types.MsgAddDevice) (types.Device, error) {
	if err := m.ValidateBasic(); err != nil {
		return types.Device{}, err
	}
	t, err := k.Tenant(ctx, m.Owner)
	if err != nil {
		return types.Device{}, err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return types.Device{}, err
	}
	if i := slices.IndexFunc(t.Devices, func(d types.Device) bool { return d.Name == m.Name }); i >= 0 {
		return types.Device{}, types.ErrDeviceExists.Wrapf("device %q exists with address %s; use it, or choose another name", m.Name, t.Devices[i].Address)
	}
	host := uint32(mesh.FirstDevice)
	for slices.ContainsFunc(t.Devices, func(d types.Device) bool { return d.Host == host }) {
		host++
	}
	if len(t.Devices) >= int(p.MaxDevices) || host > mesh.LastDevice {
		return types.Device{}, types.ErrDevicesFull.Wrapf("the tenant has %d devices; at most %d: remove one first", len(t.Devices), p.MaxDevices)
	}
	addr, err := t.Block().Addr(host)
	if err != nil {
		return types.Device{}, err
	}
	d := types.Device{Name: m.Name, Host: host, Address: addr.String(), AddedAt: now(ctx)}
	t.Devices = append(t.Devices, d)
	emit(ctx, types.EventDeviceAdded,
		sdk.NewAttribute(types.AttributeOwner, m.Owner),
		sdk.NewAttribute(types.AttributeDevice, d.Name),
		sdk.NewAttribute(types.AttributeAddress, d.Address))
	return d, k.put(ctx, t)
}

// RemoveDevice frees a device's address. Its certificate must be revoked apart from that: only the tenant knows it.
func (k *Keeper) RemoveDevice(ctx context.Context, m *types.MsgRemoveDevice) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	t, err := k.Tenant(ctx, m.Owner)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(t.Devices, func(d types.Device) bool { return d.Name == m.Name })
	if i < 0 {
		return types.ErrNoDevice.Wrapf("the tenant has no device %q", m.Name)
	}
	t.Devices = slices.Delete(t.Devices, i, i+1)
	emit(ctx, types.EventDeviceRemoved,
		sdk.NewAttribute(types.AttributeOwner, m.Owner),
		sdk.NewAttribute(types.AttributeDevice, m.Name))
	return k.put(ctx, t)
}
