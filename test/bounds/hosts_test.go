package bounds

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/daemon/miner"
	"github.com/hippius/compute/internal/sshkey"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/libvirt/overlay"
	"github.com/hippius/compute/miner/network"
	"github.com/hippius/compute/miner/seed"
)

// What the chain and tenants may say is respected by what a VM's host and its guest are made for.
func TestHosts(t *testing.T) {
	told := guest.Mesh{
		Lighthouses: many(mesh.KeepTo, guest.Lighthouse{
			Address: "100.127.255.254", Underlay: many(miner.MaxEndpoints, "255.255.255.255:65535"), CA: strings.Repeat("c", 2*cert.MaxBytes), Relay: true,
		}),
		Blocklist: many(meshtypes.MaxRevocations, hex.EncodeToString(make([]byte, meshtypes.FingerprintSize))),
	}
	line, err := json.Marshal(guest.ToGuest{Mesh: &told})
	if err != nil {
		t.Fatal(err)
	}
	check(t, []pair{
		{"a mesh with the most revocations in a message to a guest", len(line) + 1, guest.MaxLineToGuest},
		{"a mesh with the most revocations, and a bundle, in a guest's configuration", len(line) + instance.MaxBundle + 1024, guest.MaxConfig},
		{"the SSH keys of a VM in its seed", vm.MaxSSHKeys, seed.MaxKeys},
		{"an SSH key in a seed", sshkey.MaxLine, seed.MaxKeyLine},
		{"the applications of a VM in its seed", vm.MaxApps, seed.MaxApps},
		{"user data in a seed", instance.MaxUserData, seed.MaxUserData},

		{"the largest seed in a CD's image", largestSeed(t, told), seed.MaxBytes},
		{"the seeds of the most VMs that run on a host with much memory", 32 * node.MaxOvercommit / 100 * seed.MaxBytes, int(miner.RunBytes(32, 512<<10))},
		{"the seeds of the most VMs that run on a host with many cores", (128 << 10) / plan.MinMemoryMiB * seed.MaxBytes, int(miner.RunBytes(256, 128<<10))},
		{"the run folder of a host with many cores in a fiftieth of its memory", int(miner.RunBytes(node.MaxCores, 128<<10)), (128 << 30) / 50},

		{"the vCPUs of a plan at a host", plan.MaxVCPUs, hypervisor.MaxVCPUs},
		{"the vCPUs of a VM without an emulated IOMMU", hypervisor.MaxVCPUs, 255},
		{"the memory of a plan at a host", plan.MaxMemoryMiB, hypervisor.MaxMemoryMiB},
		{"the least memory at a host, in the least of a plan", hypervisor.MinMemoryMiB, plan.MinMemoryMiB},
		{"the disk of a plan in an overlay", plan.MaxDiskGiB << 30, overlay.MaxBytes},
		{"the disk requests of a plan at a host", plan.MaxIOPS, hypervisor.MaxIOPS},
		{"the speed of a plan's disk at a host", plan.MaxDiskSpeed, hypervisor.MaxDiskBytesPerSec},
		{"the speed of a plan's network at a tap", plan.MaxNetworkBits, network.MaxBits},
		{"the least speed at a tap, in the least of a plan", network.MinBits, plan.MinNetworkBits},
		{"the memory of a plan at a host that offers the most", plan.MaxMemoryMiB, node.MaxMemoryMiB},
		{"the disk of a plan at a host that offers the most", plan.MaxDiskGiB, node.MaxDiskGiB},
		{"the vCPUs of a plan at a host that offers the most", plan.MaxVCPUs, node.MaxCores},

		{"the endpoints of all lighthouses among those that a host lets VMs reach", meshtypes.MaxLighthouses * miner.MaxEndpoints, miner.MaxAllowed},
		{"the endpoints that a host lets VMs reach in the host's rules", miner.MaxAllowed, network.MaxLighthouses},
		{"all lighthouses among their addresses", meshtypes.MaxLighthouses, mesh.MaxLighthouses},
		{"the lighthouses of a tenant at a member", mesh.KeepTo, nebula.MaxLighthouses},
		{"the endpoints of a lighthouse at a member", mesh.MaxEndpoints, nebula.MaxUnderlay},
		{"the revocations of a tenant at a member", meshtypes.MaxRevocations, nebula.MaxBlocklist},
		{"the tenants with an IPv4 network at a lighthouse", mesh.Blocks, nebula.MaxCAs},
		{"a certificate on chain", cert.MaxBytes, mesh.MaxCertificate},
		{"a certificate of the chain's at a member", mesh.MaxCertificate, cert.MaxBytes},
	})
}

// largestSeed gives the bytes of the CD of a VM that has the most of everything.
func largestSeed(t *testing.T, told guest.Mesh) int {
	t.Helper()
	apps := many(vm.MaxApps, seed.App{Name: strings.Repeat("a", plan.MaxName), Recipe: strings.Repeat("r", plan.MaxRecipe)})
	cd, err := seed.Build(seed.Seed{
		VMID: vm.ID(id()), Name: strings.Repeat("n", 63), AuthorizedKeys: many(vm.MaxSSHKeys, strings.Repeat("k", sshkey.MaxLine)),
		Network: seed.Network{
			MAC: "52:54:00:00:00:01", Address: netip.MustParsePrefix("10.0.0.2/30"), Gateway: netip.MustParseAddr("10.0.0.1"), MTU: 1500,
		},
		Apps: apps, UserData: []byte(strings.Repeat("u", instance.MaxUserData)),
		Guest: guest.Config{ChainID: "c", VMID: vm.ID(id()), Seq: 1, ProofKey: make([]byte, 32), MeshCA: strings.Repeat("m", instance.MaxBundle), Mesh: told},
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(cd)
}
