package keeper

import (
	"context"

	"github.com/hippius/compute/chain/x/registry/types"
)

type msgServer struct{ k *Keeper }

// NewMsgServer serves the module's messages.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

func (s msgServer) RegisterMiner(ctx context.Context, m *types.MsgRegisterMiner) (*types.MsgRegisterMinerResponse, error) {
	return &types.MsgRegisterMinerResponse{}, s.k.Register(ctx, m)
}

func (s msgServer) DrainMiner(ctx context.Context, m *types.MsgDrainMiner) (*types.MsgDrainMinerResponse, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	return &types.MsgDrainMinerResponse{}, s.k.Drain(ctx, m.Operator, m.Undo)
}

func (s msgServer) UnbondMiner(ctx context.Context, m *types.MsgUnbondMiner) (*types.MsgUnbondMinerResponse, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	return &types.MsgUnbondMinerResponse{}, s.k.Unbond(ctx, m.Operator)
}

func (s msgServer) RegisterKeeper(ctx context.Context, m *types.MsgRegisterKeeper) (*types.MsgRegisterKeeperResponse, error) {
	return &types.MsgRegisterKeeperResponse{}, s.k.RegisterKeeper(ctx, m)
}

func (s msgServer) UpdateParams(ctx context.Context, m *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	if m.Authority != s.k.authority {
		return nil, types.ErrUnauthorized.Wrapf("parameters are changed by governance (%s), not by %s", s.k.authority, m.Authority)
	}
	return &types.MsgUpdateParamsResponse{}, s.k.setParams(ctx, m.Params)
}
