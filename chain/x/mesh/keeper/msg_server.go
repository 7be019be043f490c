package keeper

import (
	"context"

	"github.com/hippius/compute/chain/x/mesh/types"
)

type msgServer struct{ k *Keeper }

// NewMsgServer serves the module's messages.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

func (s msgServer) RegisterTenant(ctx context.Context, m *types.MsgRegisterTenant) (*types.MsgRegisterTenantResponse, error) {
	networks, err := s.k.RegisterTenant(ctx, m)
	return &types.MsgRegisterTenantResponse{Networks: networks}, err
}

func (s msgServer) SetTenantCA(ctx context.Context, m *types.MsgSetTenantCA) (*types.MsgSetTenantCAResponse, error) {
	return &types.MsgSetTenantCAResponse{}, s.k.SetCA(ctx, m)
}

func (s msgServer) AddDevice(ctx context.Context, m *types.MsgAddDevice) (*types.MsgAddDeviceResponse, error) {
	d, err := s.k.AddDevice(ctx, m)
	return &types.MsgAddDeviceResponse{Device: d}, err
}

func (s msgServer) RemoveDevice(ctx context.Context, m *types.MsgRemoveDevice) (*types.MsgRemoveDeviceResponse, error) {
	return &types.MsgRemoveDeviceResponse{}, s.k.RemoveDevice(ctx, m)
}

func (s msgServer) Revoke(ctx context.Context, m *types.MsgRevoke) (*types.MsgRevokeResponse, error) {
	return &types.MsgRevokeResponse{}, s.k.Revoke(ctx, m)
}

func (s msgServer) RegisterLighthouse(ctx context.Context, m *types.MsgRegisterLighthouse) (*types.MsgRegisterLighthouseResponse, error) {
	l, err := s.k.RegisterLighthouse(ctx, m)
	return &types.MsgRegisterLighthouseResponse{Address: l.Address, ExpiresAt: l.ExpiresAt}, err
}

func (s msgServer) RemoveLighthouse(ctx context.Context, m *types.MsgRemoveLighthouse) (*types.MsgRemoveLighthouseResponse, error) {
	return &types.MsgRemoveLighthouseResponse{}, s.k.RemoveLighthouse(ctx, m)
}

func (s msgServer) UpdateParams(ctx context.Context, m *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	if m.Authority != s.k.authority {
		return nil, types.ErrUnauthorized.Wrapf("parameters are changed by governance (%s), not by %s", s.k.authority, m.Authority)
	}
	return &types.MsgUpdateParamsResponse{}, s.k.params.Set(ctx, m.Params)
}
