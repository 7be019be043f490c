package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/mesh"
)

// RegisterLighthouse gives an account that could create a VM one lighthouse
// address; again it replaces certificate, endpoints and name, with no gate.
func (k *Keeper) RegisterLighthouse(ctx context.Context, m *types.MsgRegisterLighthouse) (string, error) {
	if err := m.ValidateBasic(); err != nil {
		return "", err
	}
	l, err := k.lighthouses.Get(ctx, m.Operator)
	if errors.Is(err, collections.ErrNotFound) {
		if err := k.gate.RequireCreate(ctx, m.Operator); err != nil {
			return "", err
		}
		l.Address, err = k.lighthouseAddress(ctx, m.Operator)
	}
	if err != nil {
		return "", err
	}
	l = types.Lighthouse{
		Operator: m.Operator, Name: m.Name, Address: l.Address, CaCertificate: m.CaCertificate, Endpoints: m.Endpoints,
		Relay: m.Relay, ChangedHeight: sdk.UnwrapSDKContext(ctx).BlockHeight(),
	}
	emit(ctx, types.EventLighthouseRegistered,
		sdk.NewAttribute(types.AttributeOperator, m.Operator),
		sdk.NewAttribute(types.AttributeAddress, l.Address))
	return l.Address, k.lighthouses.Set(ctx, m.Operator, l)
}

// lighthouseAddress takes the lowest free number; it reads at most types.MaxLighthouses entries.
func (k *Keeper) lighthouseAddress(ctx context.Context, operator string) (string, error) {
	count, err := k.count(ctx)
	if err != nil {
		return "", err
	}
	if count >= types.MaxLighthouses {
		return "", types.ErrLighthousesFull.Wrapf("the network has %d lighthouses, as many as it accepts", count)
	}
	free := uint32(1)
	err = k.lighthousesByNumber.Walk(ctx, nil, func(n uint32, _ string) (bool, error) {
		if n != free {
			return true, nil
		}
		free++
		return false, nil
	})
	if err != nil {
		return "", err
	}
	addr, err := mesh.LighthouseAddr(free)
	if err != nil {
		return "", err
	}
	if err := k.lighthouseCount.Set(ctx, count+1); err != nil {
		return "", err
	}
	return addr.String(), k.lighthousesByNumber.Set(ctx, free, operator)
}

func (k *Keeper) count(ctx context.Context) (uint32, error) {
	n, err := k.lighthouseCount.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		return 0, nil
	}
	return n, err
}

// RemoveLighthouse frees an operator's lighthouse address.
func (k *Keeper) RemoveLighthouse(ctx context.Context, m *types.MsgRemoveLighthouse) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	l, err := k.lighthouses.Get(ctx, m.Operator)
	if errors.Is(err, collections.ErrNotFound) {
		return types.ErrNoLighthouse.Wrapf("account %s runs no lighthouse", m.Operator)
	}
	if err != nil {
		return err
	}
	number, err := l.Number()
	if err != nil {
		return err
	}
	count, err := k.count(ctx)
	if err != nil {
		return err
	}
	if err := k.lighthouseCount.Set(ctx, count-1); err != nil {
		return err
	}
	if err := k.lighthousesByNumber.Remove(ctx, number); err != nil {
		return err
	}
	emit(ctx, types.EventLighthouseRemoved,
		sdk.NewAttribute(types.AttributeOperator, m.Operator),
		sdk.NewAttribute(types.AttributeAddress, l.Address))
	return k.lighthouses.Remove(ctx, m.Operator)
}
