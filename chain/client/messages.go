package client

import (
	"context"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	creditsv1 "github.com/hippius/compute/api/chain/credits/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	rankingv1 "github.com/hippius/compute/api/chain/ranking/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
)

// Each method here is one message sent by the sender's account and waited for; the errors are those of Send.

// AddSSHKey registers a public key line under a name and gives its fingerprint.
func (s *Sender) AddSSHKey(ctx context.Context, name, publicKey string) (string, error) {
	r, err := send[*computev1.MsgAddSSHKeyResponse](ctx, s, &computev1.MsgAddSSHKey{Owner: s.Address(), Name: name, PublicKey: publicKey})
	return r.GetFingerprint(), err
}

// RemoveSSHKey removes a key, by force also one that VMs name, and gives their ids: they keep it.
func (s *Sender) RemoveSSHKey(ctx context.Context, name string, force bool) ([]string, error) {
	r, err := send[*computev1.MsgRemoveSSHKeyResponse](ctx, s, &computev1.MsgRemoveSSHKey{Owner: s.Address(), Name: name, Force: force})
	return r.GetVmIds(), err
}

// CreateVM orders a VM and gives its id.
func (s *Sender) CreateVM(ctx context.Context, nonce []byte, spec *computev1.VMSpec, instances []*computev1.Instance) (string, error) {
	r, err := send[*computev1.MsgCreateVMResponse](ctx, s, &computev1.MsgCreateVM{Owner: s.Address(), Nonce: nonce, Spec: spec, Instances: instances})
	return r.GetId(), err
}

// DealInstances adds the records of further instances.
func (s *Sender) DealInstances(ctx context.Context, vmID string, instances []*computev1.Instance) error {
	_, err := s.Send(ctx, &computev1.MsgDealInstances{Owner: s.Address(), VmId: vmID, Instances: instances})
	return err
}

// StartVM switches a VM on.
func (s *Sender) StartVM(ctx context.Context, vmID string) error {
	_, err := s.Send(ctx, &computev1.MsgStartVM{Owner: s.Address(), VmId: vmID})
	return err
}

// StopVM switches a VM off; its disk stays.
func (s *Sender) StopVM(ctx context.Context, vmID string) error {
	_, err := s.Send(ctx, &computev1.MsgStopVM{Owner: s.Address(), VmId: vmID})
	return err
}

// RebootVM restarts a running VM.
func (s *Sender) RebootVM(ctx context.Context, vmID string) error {
	_, err := s.Send(ctx, &computev1.MsgRebootVM{Owner: s.Address(), VmId: vmID})
	return err
}

// RenameVM gives a VM another name, unique among the account's.
func (s *Sender) RenameVM(ctx context.Context, vmID, name string) error {
	_, err := s.Send(ctx, &computev1.MsgRenameVM{Owner: s.Address(), VmId: vmID, Name: name})
	return err
}

// ResizeVM orders the size of another plan, and tells whether the VM is restarted for it.
func (s *Sender) ResizeVM(ctx context.Context, vmID, plan string) (restart bool, err error) {
	r, err := send[*computev1.MsgResizeVMResponse](ctx, s, &computev1.MsgResizeVM{Owner: s.Address(), VmId: vmID, Plan: plan})
	return r.GetRestart(), err
}

// RebuildVM gives up what is on a VM's disk for a blank one from an image, and
// gives the instance it comes up as. Without keys it names those it named.
func (s *Sender) RebuildVM(ctx context.Context, vmID, image string, keys []string) (instance uint32, err error) {
	r, err := send[*computev1.MsgRebuildVMResponse](ctx, s, &computev1.MsgRebuildVM{Owner: s.Address(), VmId: vmID, Image: image, SshKeys: keys})
	return r.GetInstanceSeq(), err
}

// TerminateVM ends a VM for good.
func (s *Sender) TerminateVM(ctx context.Context, vmID string) error {
	_, err := s.Send(ctx, &computev1.MsgTerminateVM{Owner: s.Address(), VmId: vmID})
	return err
}

// ReportVM sends a miner's batch, at most 256 reports, and gives the chain's word on each.
func (s *Sender) ReportVM(ctx context.Context, reports []*computev1.VMReport) ([]*computev1.ReportResult, error) {
	r, err := send[*computev1.MsgReportVMResponse](ctx, s, &computev1.MsgReportVM{Miner: s.Address(), Reports: reports})
	return r.GetResults(), err
}

// Buy deposits uhip and gives the ucredit the recipient got. Reference is usable once for ever; empty for none.
func (s *Sender) Buy(ctx context.Context, recipient string, uhip uint64, reference string) (uint64, error) {
	r, err := send[*creditsv1.MsgBuyResponse](ctx, s, &creditsv1.MsgBuy{Buyer: s.Address(), Recipient: recipient, Uhip: uhip, Reference: reference})
	return r.GetUcredit(), err
}

// RegisterMiner bonds and offers, or changes what is offered. The operator is the sender.
func (s *Sender) RegisterMiner(ctx context.Context, m *registryv1.MsgRegisterMiner) error {
	m.Operator = s.Address()
	_, err := s.Send(ctx, m)
	return err
}

// DrainMiner stops new assignments, or with undo resumes them.
func (s *Sender) DrainMiner(ctx context.Context, undo bool) error {
	_, err := s.Send(ctx, &registryv1.MsgDrainMiner{Operator: s.Address(), Undo: undo})
	return err
}

// UnbondMiner begins the return of the bond.
func (s *Sender) UnbondMiner(ctx context.Context) error {
	_, err := s.Send(ctx, &registryv1.MsgUnbondMiner{Operator: s.Address()})
	return err
}

// RegisterKeeper registers a validator's keeper. The operator is the sender.
func (s *Sender) RegisterKeeper(ctx context.Context, m *registryv1.MsgRegisterKeeper) error {
	m.Operator = s.Address()
	_, err := s.Send(ctx, m)
	return err
}

// RegisterTenant gets the account its block of addresses and gives its networks in CIDR form.
func (s *Sender) RegisterTenant(ctx context.Context, caPublicKey []byte) ([]string, error) {
	r, err := send[*meshv1.MsgRegisterTenantResponse](ctx, s, &meshv1.MsgRegisterTenant{Owner: s.Address(), CaPublicKey: caPublicKey})
	return r.GetNetworks(), err
}

// SetTenantCA puts the account's CA certificate on chain, at most 1 KiB.
func (s *Sender) SetTenantCA(ctx context.Context, certificate []byte) error {
	_, err := s.Send(ctx, &meshv1.MsgSetTenantCA{Owner: s.Address(), Certificate: certificate})
	return err
}

// AddDevice gives a device an address of the account's block.
func (s *Sender) AddDevice(ctx context.Context, name string) (*meshv1.Device, error) {
	r, err := send[*meshv1.MsgAddDeviceResponse](ctx, s, &meshv1.MsgAddDevice{Owner: s.Address(), Name: name})
	return r.GetDevice(), err
}

// RemoveDevice takes a device's address back.
func (s *Sender) RemoveDevice(ctx context.Context, name string) error {
	_, err := s.Send(ctx, &meshv1.MsgRemoveDevice{Owner: s.Address(), Name: name})
	return err
}

// Revoke blocks certificates of the account's mesh, by 32-byte fingerprint.
func (s *Sender) Revoke(ctx context.Context, fingerprints [][]byte) error {
	_, err := s.Send(ctx, &meshv1.MsgRevoke{Owner: s.Address(), Fingerprints: fingerprints})
	return err
}

// RegisterLighthouse registers or changes a lighthouse and gives its address. The operator is the sender.
func (s *Sender) RegisterLighthouse(ctx context.Context, m *meshv1.MsgRegisterLighthouse) (string, error) {
	m.Operator = s.Address()
	r, err := send[*meshv1.MsgRegisterLighthouseResponse](ctx, s, m)
	return r.GetAddress(), err
}

// RemoveLighthouse takes the sender's lighthouse off the chain.
func (s *Sender) RemoveLighthouse(ctx context.Context) error {
	_, err := s.Send(ctx, &meshv1.MsgRemoveLighthouse{Operator: s.Address()})
	return err
}

// ClaimEarnings pays the sender's accrued earnings out and gives the uhip.
func (s *Sender) ClaimEarnings(ctx context.Context) (uint64, error) {
	r, err := send[*rankingv1.MsgClaimEarningsResponse](ctx, s, &rankingv1.MsgClaimEarnings{Operator: s.Address()})
	return r.GetUhip(), err
}
