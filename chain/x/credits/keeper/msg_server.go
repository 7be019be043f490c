package keeper

import (
	"context"

	"github.com/hippius/compute/chain/x/credits/types"
)

type msgServer struct{ k *Keeper }

// NewMsgServer serves the module's messages.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

func (s msgServer) Buy(ctx context.Context, m *types.MsgBuy) (*types.MsgBuyResponse, error) {
	ucredit, err := s.k.Buy(ctx, m)
	if err != nil {
		return nil, err
	}
	return &types.MsgBuyResponse{Ucredit: ucredit}, nil
}

func (s msgServer) UpdateParams(ctx context.Context, m *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	if m.Authority != s.k.authority {
		return nil, types.ErrUnauthorized.Wrapf("parameters are changed by governance (%s), not by %s", s.k.authority, m.Authority)
	}
	return &types.MsgUpdateParamsResponse{}, s.k.update(ctx, m.Params)
}

func (s msgServer) AddToReserve(ctx context.Context, m *types.MsgAddToReserve) (*types.MsgAddToReserveResponse, error) {
	return &types.MsgAddToReserveResponse{}, s.k.AddToReserve(ctx, m)
}

func (s msgServer) SpendBuffer(ctx context.Context, m *types.MsgSpendBuffer) (*types.MsgSpendBufferResponse, error) {
	return &types.MsgSpendBufferResponse{}, s.k.SpendBuffer(ctx, m)
}
