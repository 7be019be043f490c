package keeper

import (
	"context"

	"github.com/hippius/compute/chain/x/compute/types"
)

type msgServer struct{ k *Keeper }

// NewMsgServer serves the module's messages.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

func (s msgServer) AddSSHKey(ctx context.Context, m *types.MsgAddSSHKey) (*types.MsgAddSSHKeyResponse, error) {
	fingerprint, err := s.k.AddKey(ctx, m)
	return &types.MsgAddSSHKeyResponse{Fingerprint: fingerprint}, err
}

func (s msgServer) RemoveSSHKey(ctx context.Context, m *types.MsgRemoveSSHKey) (*types.MsgRemoveSSHKeyResponse, error) {
	ids, err := s.k.RemoveKey(ctx, m)
	return &types.MsgRemoveSSHKeyResponse{VmIds: ids}, err
}

func (s msgServer) CreateVM(ctx context.Context, m *types.MsgCreateVM) (*types.MsgCreateVMResponse, error) {
	id, err := s.k.Create(ctx, m)
	return &types.MsgCreateVMResponse{Id: id}, err
}

func (s msgServer) DealInstances(ctx context.Context, m *types.MsgDealInstances) (*types.MsgDealInstancesResponse, error) {
	return &types.MsgDealInstancesResponse{}, s.k.Deal(ctx, m)
}

func (s msgServer) StartVM(ctx context.Context, m *types.MsgStartVM) (*types.MsgStartVMResponse, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	return &types.MsgStartVMResponse{}, s.k.Start(ctx, m.Owner, m.VmId)
}

func (s msgServer) StopVM(ctx context.Context, m *types.MsgStopVM) (*types.MsgStopVMResponse, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	return &types.MsgStopVMResponse{}, s.k.Stop(ctx, m.Owner, m.VmId)
}

func (s msgServer) RebootVM(ctx context.Context, m *types.MsgRebootVM) (*types.MsgRebootVMResponse, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	return &types.MsgRebootVMResponse{}, s.k.Reboot(ctx, m.Owner, m.VmId)
}

func (s msgServer) RenameVM(ctx context.Context, m *types.MsgRenameVM) (*types.MsgRenameVMResponse, error) {
	return &types.MsgRenameVMResponse{}, s.k.Rename(ctx, m)
}

func (s msgServer) ResizeVM(ctx context.Context, m *types.MsgResizeVM) (*types.MsgResizeVMResponse, error) {
	restart, err := s.k.Resize(ctx, m)
	return &types.MsgResizeVMResponse{Restart: restart}, err
}

func (s msgServer) RebuildVM(ctx context.Context, m *types.MsgRebuildVM) (*types.MsgRebuildVMResponse, error) {
	seq, err := s.k.Rebuild(ctx, m)
	return &types.MsgRebuildVMResponse{InstanceSeq: seq}, err
}

func (s msgServer) TerminateVM(ctx context.Context, m *types.MsgTerminateVM) (*types.MsgTerminateVMResponse, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	return &types.MsgTerminateVMResponse{}, s.k.Terminate(ctx, m.Owner, m.VmId)
}

func (s msgServer) ReportVM(ctx context.Context, m *types.MsgReportVM) (*types.MsgReportVMResponse, error) {
	results, err := s.k.Report(ctx, m)
	return &types.MsgReportVMResponse{Results: results}, err
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
