package bounds

import (
	"math"
	"strings"

	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sshkey"
)

// The largest of each message and record, by its own bounds.

func sizeOf(m interface{ Size() int }) int { return m.Size() }

func address() string { return "hip1" + strings.Repeat("q", 38) }

func id() string { return strings.Repeat("f", 32) }

func name() string { return strings.Repeat("n", text.MaxNameLen) }

func many[T any](n int, v T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func reports() *computetypes.MsgReportVM {
	return &computetypes.MsgReportVM{Miner: address(), Reports: many(vm.MaxReports, computetypes.VMReport{
		VmId: id(), InstanceSeq: computetypes.MaxInstanceSeq, ObservedGeneration: math.MaxUint64, Phase: computetypes.Phase_PHASE_RUNNING,
		Reason: strings.Repeat("r", vm.MaxReasonLen), Message: strings.Repeat("m", vm.MaxMessageLen),
		Proof:             &computetypes.ProofReport{Height: math.MaxInt64, Signature: make([]byte, 64)},
		ObservedRebootSeq: math.MaxUint64, SizeGeneration: math.MaxUint64,
	})}
}

func instances() []computetypes.Instance {
	receipt := computetypes.KeeperReceipt{Keeper: make([]byte, 32), Signature: make([]byte, 64)}
	return many(computetypes.MaxInstances, computetypes.Instance{
		Seq: computetypes.MaxInstanceSeq, CommitmentHash: make([]byte, 32), BundleHash: make([]byte, 32), GuestKey: make([]byte, 32),
		MeshCertFingerprint: make([]byte, 32), CommitteeEpoch: math.MaxUint64, Receipts: many(computetypes.MaxReceipts, receipt),
	})
}

// largestVM has as many instances as a VM may have in its life, with receipts of a whole committee.
func largestVM(receipts int) *computetypes.VM {
	c := order()
	instance := instances()[0]
	instance.Receipts = instance.Receipts[:receipts]
	line := strings.Repeat("k", sshkey.MaxLine)
	return &computetypes.VM{
		Id: id(), Owner: c.Owner, Nonce: c.Nonce, Spec: c.Spec, Generation: math.MaxUint64, Instances: many(computetypes.MaxInstanceSeq, instance),
		Status: computetypes.VMStatus{
			Miner: address(), Reason: strings.Repeat("r", vm.MaxReasonLen), Message: strings.Repeat("m", vm.MaxMessageLen),
			Excluded: many(computekeeper.MaxExcluded, address()),
			RanOn:    many(computetypes.MaxUnproven, address()), Suspects: many(computetypes.MaxUnproven, address()), BegunAt: math.MaxInt64, ProvenInstance: computetypes.MaxInstanceSeq, Retrying: true,
			Attestation: computetypes.Attestation{Pending: many(credit.MaxPending, computetypes.Interval{From: math.MaxInt64, To: math.MaxInt64, Rate: math.MaxUint64})},
		},
		AuthorizedKeys: many(vm.MaxSSHKeys, line),
		RemovedKeys:    many(vm.MaxSSHKeys, computetypes.RemovedKey{Name: name(), PublicKey: line, Fingerprint: strings.Repeat("f", 64), RemovedAt: math.MaxInt64}),
	}
}

func order() *computetypes.MsgCreateVM {
	return &computetypes.MsgCreateVM{Owner: address(), Nonce: make([]byte, vm.NonceSize), Instances: instances(), Spec: computetypes.VMSpec{
		Name: name(), Plan: strings.Repeat("p", plan.MaxName), Image: name(), Apps: many(vm.MaxApps, name()), SshKeys: many(vm.MaxSSHKeys, name()),
		Miners: many(vm.MaxMiners, address()), UserDataHash: make([]byte, 32), MeshAddress: "fd68:ffff:ffff::ff", HostCa: make([]byte, 32),
		Region: name(), SpreadGroup: name(), RebootSeq: math.MaxUint64,
	}}
}

func tenantOf() *meshtypes.Tenant {
	block := mesh.Block(math.MaxUint32)
	return &meshtypes.Tenant{
		Owner: address(), Index: math.MaxUint32, Networks: meshtypes.NetworksOf(block), CaPublicKey: make([]byte, 32),
		CaCertificate: make([]byte, meshtypes.MaxCertificate), ChangedHeight: math.MaxInt64, RegisteredAt: math.MaxInt64, ReleaseAt: math.MaxInt64,
		Devices: many(mesh.MaxDevices, meshtypes.Device{Name: name(), Host: mesh.LastDevice, Address: "fd68:ffff:ffff::ff", AddedAt: math.MaxInt64}),
		Revoked: many(meshtypes.MaxRevocations, make([]byte, meshtypes.FingerprintSize)), Vms: math.MaxUint32,
	}
}

func lighthouse() *meshtypes.Lighthouse {
	return &meshtypes.Lighthouse{
		Operator: address(), Name: name(), Address: "100.127.255.254", CaCertificate: make([]byte, meshtypes.MaxCertificate),
		Endpoints: many(mesh.MaxEndpoints, endpoint()), Relay: true, ChangedHeight: math.MaxInt64, ExpiresAt: math.MaxInt64,
	}
}

func endpoint() string { return strings.Repeat("e", node.MaxEndpointLen) }

func minerOf() *registrytypes.Miner {
	return &registrytypes.Miner{
		Operator: address(), Name: name(), Identity: make([]byte, 32), Roles: []string{"compute", "storage"}, Endpoint: endpoint(),
		Region: name(), BondUhip: math.MaxUint64, RegisteredAt: math.MaxInt64, LastSeen: math.MaxInt64, UnbondingUntil: math.MaxInt64,
		Record:  registrytypes.Record{Proven: math.MaxUint64, BootedParts: math.MaxUint32, FailedParts: math.MaxUint32, HalvedAt: math.MaxInt64},
		Version: strings.Repeat("v", node.MaxVersionLen), Capacity: registrytypes.Capacity{CpuModel: strings.Repeat("c", 128), Arch: "amd64", Acceleration: "kvm"},
	}
}

func keeperOf() *registrytypes.Keeper {
	return &registrytypes.Keeper{
		Operator: address(), Identity: make([]byte, 32), HpkeKey: make([]byte, 32), Endpoint: endpoint(), Name: name(), Shares: math.MaxUint32, Leaving: true,
	}
}

func priced() *markettypes.PlanPrice {
	return &markettypes.PlanPrice{
		Plan: markettypes.Plan{
			Name: strings.Repeat("p", plan.MaxName), Vcpus: math.MaxUint32, MemoryMib: math.MaxUint64, DiskGib: math.MaxUint64, Iops: math.MaxUint32,
			DiskBytesPerSecond: math.MaxUint64, NetworkBitsPerSecond: math.MaxUint64, Order: math.MaxUint32,
		},
		RunningUcreditPerHour: math.MaxUint64, StoppedUcreditPerHour: math.MaxUint64,
	}
}

// image and recipe are entries of the catalogue: 8 URLs of 512 bytes, 32 names of images.
func image() markettypes.Image {
	return markettypes.Image{
		Name: name(), Os: name(), Version: name(), Urls: many(8, strings.Repeat("u", 512)), Sha256: make([]byte, 32), Format: "qcow2",
		SizeBytes: math.MaxUint64, VirtualSizeBytes: math.MaxUint64, Arch: "amd64", User: name(),
	}
}

func recipe() markettypes.App {
	return markettypes.App{Name: name(), Description: strings.Repeat("d", 256), Recipe: strings.Repeat("x", plan.MaxRecipe), Images: many(32, name())}
}
