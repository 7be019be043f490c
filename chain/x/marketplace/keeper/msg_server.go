package keeper

import (
	"context"

	"github.com/hippius/compute/chain/x/marketplace/types"
)

type msgServer struct{ k *Keeper }

// NewMsgServer serves the module's messages.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

// allow checks a message's form and that governance sent it.
func (s msgServer) allow(m interface{ ValidateBasic() error }, authority string) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	if authority != s.k.authority {
		return types.ErrUnauthorized.Wrapf("catalogue and parameters are changed by governance (%s), not by %s", s.k.authority, authority)
	}
	return nil
}

func (s msgServer) UpdateParams(ctx context.Context, m *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if err := s.allow(m, m.Authority); err != nil {
		return nil, err
	}
	return &types.MsgUpdateParamsResponse{}, s.k.params.Set(ctx, m.Params)
}

func (s msgServer) SetPlan(ctx context.Context, m *types.MsgSetPlan) (*types.MsgSetPlanResponse, error) {
	if err := s.allow(m, m.Authority); err != nil {
		return nil, err
	}
	return &types.MsgSetPlanResponse{}, change(ctx, s.k.plans, "plan", m.Plan.Name, m.Plan, m.Remove, types.ErrUnknownPlan)
}

func (s msgServer) SetImage(ctx context.Context, m *types.MsgSetImage) (*types.MsgSetImageResponse, error) {
	if err := s.allow(m, m.Authority); err != nil {
		return nil, err
	}
	return &types.MsgSetImageResponse{}, change(ctx, s.k.images, "image", m.Image.Name, m.Image, m.Remove, types.ErrUnknownImage)
}

func (s msgServer) SetApp(ctx context.Context, m *types.MsgSetApp) (*types.MsgSetAppResponse, error) {
	if err := s.allow(m, m.Authority); err != nil {
		return nil, err
	}
	return &types.MsgSetAppResponse{}, change(ctx, s.k.apps, "application", m.App.Name, m.App, m.Remove, types.ErrUnknownApp)
}
