package client

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/cosmos/btcutil/bech32"
	"golang.org/x/crypto/ssh"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
)

// Answers as an honest node gives them, for tests to spoil.

// wireAddress is the n-th of a row of addresses.
func wireAddress(n int) string {
	raw := make([]byte, 20)
	binary.BigEndian.PutUint64(raw[12:], uint64(n)+1)
	s, err := bech32.EncodeFromBase256("hip", raw)
	if err != nil {
		panic(err)
	}
	return s
}

func wireKeyLine(seed byte) (line, fingerprint string) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	pub, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub))), ssh.FingerprintSHA256(pub)
}

// wireVM has something in every field.
func wireVM(n int) *computev1.VM {
	nonce := make([]byte, vm.NonceSize)
	binary.BigEndian.PutUint32(nonce, uint32(n))
	id, err := vm.NewID(wireAddress(0), nonce)
	if err != nil {
		panic(err)
	}
	line, _ := wireKeyLine(1)
	old, oldFingerprint := wireKeyLine(2)
	size := &computev1.Size{Vcpus: 1, MemoryMib: 2048, DiskGib: 18, Iops: 500, DiskBytesPerSecond: 5e7, NetworkBitsPerSecond: 1e8}
	return &computev1.VM{
		Id: string(id), Owner: wireAddress(0), Nonce: nonce, Generation: 3,
		Spec: &computev1.VMSpec{
			Name: fmt.Sprint("n", n), Plan: "spark", Image: "debian-12", Apps: []string{"docker"}, UserDataHash: make([]byte, 32),
			SshKeys: []string{"laptop"}, MeshAddress: "100.64.0.2", HostCa: make([]byte, 32), Agent: computev1.AgentMode_AGENT_MODE_GUEST,
			Region: "eu", SpreadGroup: "a", Miners: []string{wireAddress(7)}, Priority: 3, Power: computev1.Power_POWER_ON, RebootSeq: 1,
		},
		Status: &computev1.VMStatus{
			Phase: computev1.Phase_PHASE_RUNNING, Miner: wireAddress(7), ObservedGeneration: 3, InstanceSeq: 1, HasData: true,
			ReadyAt: 1_800_000_000, Reason: vm.ReasonResize, Message: "as it should be", PhaseSince: 1_800_000_000, Deadline: 1_800_000_100,
			Attempts: 1, Excluded: []string{wireAddress(8)}, ObservedRebootSeq: 1,
			Attestation: &computev1.Attestation{
				LastAt: 1_800_000_000, InstanceSeq: 1, RunningSeconds: 9, StoppedSeconds: 8, ProofHeight: 7, ChargedUnits: 6,
				Proven: true, Unproven: true, OwedUnits: 5, Pending: []*computev1.Interval{{From: 1_800_000_000, To: 1_800_000_009, Rate: 4}},
				SilentSince: 1_800_000_000, SeenAt: 1_800_000_001, SilentReports: 3, SilenceReboots: 1, WholeSince: 1_800_000_000,
			},
		},
		Instances: []*computev1.Instance{{
			Seq: 1, CommitmentHash: make([]byte, 32), BundleHash: make([]byte, 32), GuestKey: make([]byte, 32),
			MeshCertFingerprint: make([]byte, 32), CommitteeEpoch: 1,
			Receipts: []*computev1.KeeperReceipt{{Keeper: make([]byte, 32), Signature: make([]byte, 64)}},
		}},
		CreatedAt: 1_800_000_000, ChangedHeight: 9, RunningRate: 8900, StoppedRate: 900, AuthorizedKeys: []string{line, old},
		Size: size, Arch: "amd64", Resize: &computev1.Resize{Generation: 3, Size: size, RunningRate: 8900, StoppedRate: 900, Restart: true},
		RemovedKeys: []*computev1.RemovedKey{{Name: "old", PublicKey: old, Fingerprint: oldFingerprint, RemovedAt: 1_800_000_000}},
	}
}

// wireVMs are n by their ids, as a node lists them.
func wireVMs(n int) []*computev1.VM {
	var out []*computev1.VM
	for i := range n {
		out = append(out, wireVM(i))
	}
	slices.SortFunc(out, func(a, b *computev1.VM) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return out
}

func wireTenant(n int) *meshv1.Tenant {
	block := mesh.Block(n)
	device, err := block.Addr(mesh.FirstDevice)
	if err != nil {
		panic(err)
	}
	t := &meshv1.Tenant{
		Owner: wireAddress(n), Index: uint32(n), CaPublicKey: make([]byte, 32), CaCertificate: []byte("x"), ChangedHeight: 50,
		Devices: []*meshv1.Device{{Name: "laptop", Host: mesh.FirstDevice, Address: device.String(), AddedAt: 1_800_000_000}},
		Revoked: [][]byte{make([]byte, mesh.FingerprintSize)}, RegisteredAt: 1_800_000_000, Vms: 1,
	}
	for _, p := range block.Networks() {
		t.Networks = append(t.Networks, p.String())
	}
	return t
}

func wireLighthouse() *meshv1.Lighthouse {
	return &meshv1.Lighthouse{
		Operator: wireAddress(1), Name: "eu-1", Address: "100.127.0.1", CaCertificate: []byte("x"), Endpoints: []string{"192.0.2.1:4242"},
		Relay: true, ChangedHeight: 9,
	}
}

func wireMiner() *registryv1.Miner {
	return &registryv1.Miner{
		Operator: wireAddress(7), Name: "rack-1", Identity: make([]byte, 32), Roles: []string{"compute"}, Endpoint: "192.0.2.1:7070", Region: "eu",
		Capacity: &registryv1.Capacity{Cores: 8, MemoryMib: 1 << 14, DiskGib: 500, Arch: "amd64", Acceleration: "kvm", CpuModel: "Some CPU", DiskWriteBytesPerSecond: 1e8},
		BondUhip: 1e9, Status: registryv1.MinerStatus_MINER_STATUS_ACTIVE, RegisteredAt: 1_800_000_000, LastSeen: 1_800_000_000,
		Usage: &registryv1.Usage{Vms: 1, Vcpus: 1, MemoryMib: 2048, DiskGib: 18}, Version: "v1.0", Record: &registryv1.Record{Proven: 12, BootedParts: 3072, FailedParts: 1024, HalvedAt: 1_800_000_000, Trials: 2},
	}
}

func wireCommittee() *registryv1.Committee {
	c := &registryv1.Committee{Epoch: 3, Threshold: 2, DealsUntil: 1_800_000_000}
	for i := range 2 {
		identity, err := hex.DecodeString(strings.Repeat(fmt.Sprintf("%02x", i), 32))
		if err != nil {
			panic(err)
		}
		c.Keepers = append(c.Keepers, &registryv1.Keeper{
			Operator: wireAddress(i), Identity: identity, HpkeKey: make([]byte, 32), Endpoint: "192.0.2.1:7080", Name: fmt.Sprint("keeper-", i), Shares: uint32(1 + i),
		})
	}
	return c
}
