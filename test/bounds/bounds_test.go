package bounds

import (
	"math"
	"strings"
	"testing"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/client"
	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshkeeper "github.com/hippius/compute/chain/x/mesh/keeper"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sshkey"
)

// envelope is what a transaction has beside its message: signature, key, fee, type names.
const envelope = 1 << 10

// TestBoundsThatMeet has a row for each pair of bounds: what is declared, and where it has to fit in. Whoever adds a bound
// that another part relies on adds a row.
func TestBoundsThatMeet(t *testing.T) {
	free := computetypes.DefaultParams().ReportRules()
	for _, c := range []struct {
		what        string
		need, limit int
	}{
		// Transactions: declared by the messages' bounds, respected by the ante handler, the block and the node's gRPC.
		{"the largest batch of reports in a transaction", sizeOf(reports()) + envelope, app.MaxTxBytes},
		{"the gas of the largest batch of reports", int(client.ReportGas(vm.MaxReports)), app.MaxTxGas},
		{"the largest order of a VM in a transaction", sizeOf(order()) + envelope, app.MaxTxBytes},
		{"the most instances dealt at once in a transaction", sizeOf(&computetypes.MsgDealInstances{VmId: id(), Owner: address(), Instances: instances()}) + envelope, app.MaxTxBytes},
		{"the most revocations at once in a transaction", sizeOf(&meshtypes.MsgRevoke{Owner: address(), Fingerprints: many(meshtypes.MaxRevocationsPerMessage, make([]byte, meshtypes.FingerprintSize))}) + envelope, app.MaxTxBytes},
		{"the longest recipe in a transaction", sizeOf(&markettypes.MsgSetApp{Authority: address(), App: markettypes.App{Recipe: strings.Repeat("x", plan.MaxRecipe)}}) + envelope, app.MaxTxBytes},
		{"a transaction's bytes in a block", app.MaxTxBytes, app.MaxBlockBytes},
		{"a transaction's gas in its lane of a block", app.MaxTxGas, app.MaxBlockGas * app.LanePercent / 100},
		{"a transaction's bytes in its lane of a block", app.MaxTxBytes, app.MaxBlockBytes * app.LanePercent / 100},
		{"the gas of an empty batch of reports without a fee", int(client.ReportGas(0)), int(free.Gas)},
		{"the gas of the largest batch of reports without a fee", int(client.ReportGas(vm.MaxReports)), int(free.Gas + free.GasPerVM*vm.MaxReports)},

		// Answers: declared by the queries' pages and the records' bounds, respected by the client.
		{"a page of tenants with the most revocations", meshkeeper.MaxPageBytes + sizeOf(tenant()), client.MaxAnswer},
		{"a page of VMs with the largest VM", computekeeper.MaxPageBytes + sizeOf(largestVM(computetypes.MaxReceipts)), client.MaxAnswer},
		{"a page of a miner's VMs with the largest VM and all that were released", computekeeper.MaxPageBytes + sizeOf(largestVM(0)) + computekeeper.MaxReleased*(2*vm.IDSize+2), client.MaxAnswer},
		{"all lighthouses", meshtypes.MaxLighthouses * (sizeOf(lighthouse()) + 8), client.MaxAnswer},
		{"a page of miners", 500 * (sizeOf(miner()) + 8), client.MaxAnswer},

		{"an account's SSH keys", 200 * (sshkey.MaxLine + 256), client.MaxAnswer},

		// Secrets: declared by the tenant's program, respected by guests.
		{"a bundle in base64 on one line of the guest's channel", instance.MaxSealedBundle * 4 / 3, guest.MaxLine},
	} {
		if c.need > c.limit {
			t.Errorf("%s takes %d; at most %d", c.what, c.need, c.limit)
		}
	}
}

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
			Miner: address(), Reason: strings.Repeat("r", vm.MaxReasonLen), Message: strings.Repeat("m", vm.MaxMessageLen), Excluded: many(8, address()),
			RanOn: many(computetypes.MaxUnproven, address()), BegunAt: math.MaxInt64, ProvenInstance: computetypes.MaxInstanceSeq, Retrying: true,
			Attestation: computetypes.Attestation{Pending: many(4, computetypes.Interval{From: math.MaxInt64, To: math.MaxInt64, Rate: math.MaxUint64})},
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

func tenant() *meshtypes.Tenant {
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
		Endpoints: many(8, strings.Repeat("e", node.MaxEndpointLen)), Relay: true, ChangedHeight: math.MaxInt64, ExpiresAt: math.MaxInt64,
	}
}

func miner() *registrytypes.Miner {
	return &registrytypes.Miner{
		Operator: address(), Name: name(), Identity: make([]byte, 32), Roles: []string{"compute", "storage"}, Endpoint: strings.Repeat("e", node.MaxEndpointLen),
		Region: name(), BondUhip: math.MaxUint64, RegisteredAt: math.MaxInt64, LastSeen: math.MaxInt64, UnbondingUntil: math.MaxInt64,
		Record:  registrytypes.Record{Proven: math.MaxUint64, Booted: math.MaxUint32, Failed: math.MaxUint32, HalvedAt: math.MaxInt64},
		Version: strings.Repeat("v", node.MaxVersionLen), Capacity: registrytypes.Capacity{CpuModel: strings.Repeat("c", 128), Arch: "amd64", Acceleration: "kvm"},
	}
}
