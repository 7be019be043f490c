package client

import (
	"context"
	"net/netip"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	creditsv1 "github.com/hippius/compute/api/chain/credits/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	rankingv1 "github.com/hippius/compute/api/chain/ranking/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
)

// Each method here is one message sent by the sender's account and waited for; the errors are those of Send.

// AddSSHKey registers a public key line under a name and gives its fingerprint.
func (s *Sender) AddSSHKey(ctx context.Context, name, publicKey string) (string, error) {
	r, err := send[*computev1.MsgAddSSHKeyResponse](ctx, s, &computev1.MsgAddSSHKey{Owner: s.Address(), Name: name, PublicKey: publicKey})
	return r.GetFingerprint(), err
}

// RemoveSSHKey removes a key, by force also one that VMs name, and gives their ids: they keep it.
func (s *Sender) RemoveSSHKey(ctx context.Context, name string, force bool) ([]vm.ID, error) {
	r, err := send[*computev1.MsgRemoveSSHKeyResponse](ctx, s, &computev1.MsgRemoveSSHKey{Owner: s.Address(), Name: name, Force: force})
	return decoded(err, "answer to the removal", r.GetVmIds(), func(d *decoder, ids []string) []vm.ID { return all(d, ids, (*decoder).id) })
}

// CreateVM orders a VM and gives its id.
func (s *Sender) CreateVM(ctx context.Context, nonce []byte, spec vm.Spec, instances []vm.Instance) (vm.ID, error) {
	r, err := send[*computev1.MsgCreateVMResponse](ctx, s, &computev1.MsgCreateVM{Owner: s.Address(), Nonce: nonce, Spec: encodeSpec(spec), Instances: encodeInstances(instances)})
	return decoded(err, "answer to the order", r.GetId(), (*decoder).id)
}

// DealInstances adds the records of further instances.
func (s *Sender) DealInstances(ctx context.Context, id vm.ID, instances []vm.Instance) error {
	_, err := s.Send(ctx, &computev1.MsgDealInstances{Owner: s.Address(), VmId: string(id), Instances: encodeInstances(instances)})
	return err
}

// StartVM switches a VM on.
func (s *Sender) StartVM(ctx context.Context, id vm.ID) error {
	_, err := s.Send(ctx, &computev1.MsgStartVM{Owner: s.Address(), VmId: string(id)})
	return err
}

// StopVM switches a VM off; its disk stays.
func (s *Sender) StopVM(ctx context.Context, id vm.ID) error {
	_, err := s.Send(ctx, &computev1.MsgStopVM{Owner: s.Address(), VmId: string(id)})
	return err
}

// RebootVM restarts a running VM.
func (s *Sender) RebootVM(ctx context.Context, id vm.ID) error {
	_, err := s.Send(ctx, &computev1.MsgRebootVM{Owner: s.Address(), VmId: string(id)})
	return err
}

// RenameVM gives a VM another name, unique among the account's.
func (s *Sender) RenameVM(ctx context.Context, id vm.ID, name string) error {
	_, err := s.Send(ctx, &computev1.MsgRenameVM{Owner: s.Address(), VmId: string(id), Name: name})
	return err
}

// BroadcastRename is RenameVM without waiting for the block, which WaitTx does by the hash it gives.
func (s *Sender) BroadcastRename(ctx context.Context, id vm.ID, name string) (hash string, err error) {
	return s.Broadcast(ctx, &computev1.MsgRenameVM{Owner: s.Address(), VmId: string(id), Name: name})
}

// ResizeVM orders the size of another plan, and tells whether the VM is restarted for it.
func (s *Sender) ResizeVM(ctx context.Context, id vm.ID, plan string) (restart bool, err error) {
	r, err := send[*computev1.MsgResizeVMResponse](ctx, s, &computev1.MsgResizeVM{Owner: s.Address(), VmId: string(id), Plan: plan})
	return r.GetRestart(), err
}

// RebuildVM gives up what is on a VM's disk for a blank one from an image, and
// gives the instance it comes up as. Without keys it names those it named.
func (s *Sender) RebuildVM(ctx context.Context, id vm.ID, image string, keys []string) (instance uint32, err error) {
	r, err := send[*computev1.MsgRebuildVMResponse](ctx, s, &computev1.MsgRebuildVM{Owner: s.Address(), VmId: string(id), Image: image, SshKeys: keys})
	return r.GetInstanceSeq(), err
}

// TerminateVM ends a VM for good.
func (s *Sender) TerminateVM(ctx context.Context, id vm.ID) error {
	_, err := s.Send(ctx, &computev1.MsgTerminateVM{Owner: s.Address(), VmId: string(id)})
	return err
}

// ReportVM sends a miner's batch, at most 256 reports, and says of each whether the chain took it, and why not.
func (s *Sender) ReportVM(ctx context.Context, reports []vm.Report) ([]vm.ReportResult, error) {
	r, err := send[*computev1.MsgReportVMResponse](ctx, s, &computev1.MsgReportVM{Miner: s.Address(), Reports: encodeReports(reports)})
	return decoded(err, "answer to the reports", r.GetResults(), func(d *decoder, list []*computev1.ReportResult) []vm.ReportResult {
		return decodeResults(d, reports, list)
	})
}

// Buy deposits uhip and gives the ucredit the recipient got. Reference is usable once for ever; empty for none.
func (s *Sender) Buy(ctx context.Context, recipient string, uhip uint64, reference string) (uint64, error) {
	r, err := send[*creditsv1.MsgBuyResponse](ctx, s, &creditsv1.MsgBuy{Buyer: s.Address(), Recipient: recipient, Uhip: uhip, Reference: reference})
	return r.GetUcredit(), err
}

// RegisterMiner adds to the bond and offers, or changes what is offered. The operator is the sender.
func (s *Sender) RegisterMiner(ctx context.Context, o node.Offer, bondUhip uint64) error {
	c := o.Capacity
	_, err := s.Send(ctx, &registryv1.MsgRegisterMiner{
		Operator: s.Address(), Name: o.Name, Identity: o.Identity, Roles: o.Roles, Endpoint: o.Endpoint, Region: o.Region,
		Capacity: &registryv1.Capacity{
			Cores: c.Cores, MemoryMib: c.MemoryMiB, DiskGib: c.DiskGiB, Arch: o.Hardware.Arch, Acceleration: o.Hardware.Acceleration,
			CpuModel: o.Hardware.CPUModel, DiskWriteBytesPerSecond: o.Hardware.DiskWriteBytesPerSecond,
		},
		BondUhip: bondUhip, Version: o.Version,
	})
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

// RegisterKeeper registers a validator's keeper, or changes what is registered. The operator is the sender. To replace the keys of a
// keeper that may hold shares, abandon must give them up.
func (s *Sender) RegisterKeeper(ctx context.Context, k node.Keeper, abandon bool) error {
	_, err := s.Send(ctx, &registryv1.MsgRegisterKeeper{
		Operator: s.Address(), Identity: k.Identity, HpkeKey: k.HPKEKey, Endpoint: k.Endpoint, Name: k.Name,
		Leaving: k.Leaving, Abandon: abandon,
	})
	return err
}

// RegisterTenant gets the account its block of addresses.
func (s *Sender) RegisterTenant(ctx context.Context, caPublicKey []byte) error {
	_, err := s.Send(ctx, &meshv1.MsgRegisterTenant{Owner: s.Address(), CaPublicKey: caPublicKey})
	return err
}

// SetTenantCA puts the account's CA certificate on chain, at most 1 KiB.
func (s *Sender) SetTenantCA(ctx context.Context, certificate []byte) error {
	_, err := s.Send(ctx, &meshv1.MsgSetTenantCA{Owner: s.Address(), Certificate: certificate})
	return err
}

// AddDevice gives a device an address of the account's block.
func (s *Sender) AddDevice(ctx context.Context, name string) (mesh.Device, error) {
	r, err := send[*meshv1.MsgAddDeviceResponse](ctx, s, &meshv1.MsgAddDevice{Owner: s.Address(), Name: name})
	return decoded(err, "answer to the device's addition", r.GetDevice(), decodeNewDevice)
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

// RegisterLighthouse registers or changes a lighthouse and pays days of its rent in advance, 0 to 366. It gives the
// lighthouse's address, and until when the rent is paid in unix seconds. The operator is the sender.
func (s *Sender) RegisterLighthouse(ctx context.Context, l mesh.Lighthouse, days uint32) (at netip.Addr, until int64, err error) {
	r, err := send[*meshv1.MsgRegisterLighthouseResponse](ctx, s, &meshv1.MsgRegisterLighthouse{
		Operator: s.Address(), Name: l.Name, CaCertificate: l.CACertificate, Endpoints: l.Endpoints, Relay: l.Relay, Days: days,
	})
	at, err = decoded(err, "answer to the lighthouse's registration", r.GetAddress(), decodeLighthouseAddress)
	if err != nil {
		return at, 0, err
	}
	until, err = decoded(nil, "answer to the lighthouse's registration", r.GetExpiresAt(), func(d *decoder, v int64) int64 { return d.time("expires_at", v) })
	return at, until, err
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

// decoded is what a message's answer says. The message was carried out: an answer that cannot be used is an error all the same.
func decoded[F, T any](err error, what string, answer F, decode func(*decoder, F) T) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	d := &decoder{}
	return done(d, what, decode(d, answer))
}
