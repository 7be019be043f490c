// Package miner assembles hippius-miner: the agent over its hypervisor, network,
// images and seeds, in step with the chain, with secrets from the keepers and
// consoles for tenants. It measures the host and registers it.
package miner

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/hippius/compute/core/text"
)

// Files and folders in Config.Data.
const (
	// IdentityFile is the Ed25519 key of the transport, made at the first start.
	IdentityFile = "identity.pem"
	// StateFile is what the agent remembers.
	StateFile = "miner.db"
	// ForgetDir holds the operator's orders to forget VMs.
	ForgetDir = "forget"
	imagesDir = "images"
	vmsDir    = "vms"
	isoDir    = "iso"
)

// Driver is what VMs run on.
type Driver string

// The drivers. Fake runs no instructions: it is for tests of everything else.
const (
	Libvirt Driver = "libvirt"
	Fake    Driver = "fake"
)

// Config of a miner. Paths are as the process sees them.
type Config struct {
	// Name under which the miner stands on chain.
	Name string `yaml:"name"`
	// Network is the network's profile file.
	Network string `yaml:"network"`
	// Wallet is the operator's key file, mode 0600.
	Wallet string `yaml:"wallet"`
	// Data holds disks, images and state; made if it is not there.
	Data string `yaml:"data"`
	// Run holds sockets and seeds, on a tmpfs, which is mounted there if it is none.
	Run string `yaml:"run"`
	// Agent is the hippius-guest program that VMs are given.
	Agent string `yaml:"agent"`

	// Listen is the TCP address of the services for tenants, Public the host:port at which they reach it.
	Listen netip.AddrPort `yaml:"listen"`
	Public string         `yaml:"public"`
	// Observe is the TCP address of /healthz, /readyz and /metrics; keep it private.
	Observe netip.AddrPort `yaml:"observe"`

	// Region is where the host stands, such as eu-central; may be empty.
	Region string `yaml:"region,omitempty"`
	// BondUhip the miner is to have on chain; the chain asks for a least one.
	BondUhip uint64 `yaml:"bond_uhip"`
	// Offer of the host's capacity.
	Offer Offer `yaml:"offer"`

	// Driver is libvirt, or fake for tests.
	Driver Driver `yaml:"driver"`
	// Libvirt, used with that driver.
	Libvirt LibvirtConfig `yaml:"libvirt"`
	// Taps of VMs.
	Taps TapConfig `yaml:"taps"`
	// Images of operating systems.
	Images ImageConfig `yaml:"images"`
	// Timing of the agent.
	Timing Timing `yaml:"timing"`

	// Version of the program, as guests and metrics say it.
	Version string `yaml:"-"`
}

// Offer of the host's capacity; a zero is all there is beyond the reserves.
type Offer struct {
	Cores     uint32 `yaml:"cores"`
	MemoryMiB uint64 `yaml:"memory_mib"`
	DiskGiB   uint64 `yaml:"disk_gib"`
	// Reserves for the host itself.
	ReserveMemoryMiB uint64 `yaml:"reserve_memory_mib"`
	ReserveDiskGiB   uint64 `yaml:"reserve_disk_gib"`
}

// LibvirtConfig says where libvirtd is and how it runs VMs.
type LibvirtConfig struct {
	Socket string `yaml:"socket"`
	RunDir string `yaml:"run_dir"`
	// User whom QEMU runs as; its group may read seeds.
	User string `yaml:"user"`
	// Accel is auto, kvm or tcg.
	Accel string `yaml:"accel"`
	// Tag tells this miner's VMs and taps from those of others on the host: 1 to 8 lower-case letters and digits.
	Tag string `yaml:"tag"`
}

// TapConfig is what VMs get of the network.
type TapConfig struct {
	// Pool of addresses between host and VMs, cut into /30s.
	Pool netip.Prefix `yaml:"pool"`
	// DNS servers VMs are told of; they must be public.
	DNS []netip.Addr `yaml:"dns"`
	// MTU of the taps as VMs are told.
	MTU int `yaml:"mtu"`
	// Connections a VM may have open at once.
	Connections uint32 `yaml:"connections"`
	// LighthouseNets are private networks in which VMs may reach lighthouses.
	LighthouseNets []netip.Prefix `yaml:"lighthouse_nets"`
}

// ImageConfig bounds the image cache.
type ImageConfig struct {
	MaxGiB uint64 `yaml:"max_gib"`
	// AllowFile takes images from file URLs: for networks on one host.
	AllowFile bool `yaml:"allow_file"`
}

// Timing of the agent.
type Timing struct {
	Poll        time.Duration `yaml:"poll"`
	ReportEvery time.Duration `yaml:"report_every"`
	ProofEvery  time.Duration `yaml:"proof_every"`
	BootTimeout time.Duration `yaml:"boot_timeout"`
	StopTimeout time.Duration `yaml:"stop_timeout"`
	GiveUp      time.Duration `yaml:"give_up"`
	MeshEvery   time.Duration `yaml:"mesh_every"`
	// FakeBoot is how long VMs of the fake driver take to boot.
	FakeBoot time.Duration `yaml:"fake_boot,omitempty"`
}

// Default settings; network, wallet and public must be given.
func Default() Config {
	return Config{
		Name: "miner", Data: "/var/lib/hippius-miner", Run: "/run/hippius-miner", Agent: "/usr/lib/hippius/hippius-guest",
		Listen: netip.MustParseAddrPort("0.0.0.0:7430"), Observe: netip.MustParseAddrPort("127.0.0.1:9466"),
		BondUhip: 1_000_000_000,
		Offer:    Offer{ReserveMemoryMiB: 1024, ReserveDiskGiB: 10},
		Driver:   Libvirt,
		Libvirt: LibvirtConfig{
			Socket: "/run/libvirt/libvirt-sock", RunDir: "/run/libvirt", User: "libvirt-qemu", Accel: "auto", Tag: "hip",
		},
		Taps: TapConfig{
			Pool: netip.MustParsePrefix("10.90.0.0/16"), MTU: 1500, Connections: 8192,
			DNS:            []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("1.1.1.1")},
			LighthouseNets: []netip.Prefix{},
		},
		Images: ImageConfig{MaxGiB: 50},
		Timing: Timing{
			Poll: 500 * time.Millisecond, ReportEvery: 30 * time.Second, ProofEvery: 5 * time.Second,
			BootTimeout: 12 * time.Minute, StopTimeout: 90 * time.Second, GiveUp: 3 * time.Minute, MeshEvery: 5 * time.Second,
		},
	}
}

const (
	// maxPoll leaves time to report an assigned VM before the chain gives it to another miner, 30 s by default.
	minPoll, maxPoll = 50 * time.Millisecond, 10 * time.Second
	// maxReportEvery keeps two proofs within the minute that counts as one interval.
	maxReportEvery = 50 * time.Second
	maxProofEvery  = 30 * time.Second
	// maxStopTimeout leaves time to release a VM before the chain lets go of it, a day by default.
	maxStopTimeout = time.Hour
	// A VM with fewer connections could hardly update itself.
	minConnections, maxConnections = 64, 1 << 20
)

// Validate says what is wrong, or nil.
func (c *Config) Validate() error {
	switch {
	case c.Name == "" || len(c.Name) > text.MaxNameLen:
		return fmt.Errorf("name: give 1 to %d characters", text.MaxNameLen)
	case c.Network == "":
		return errors.New("network: give the path of the network's profile")
	case c.Wallet == "":
		return errors.New("wallet: give the path of the operator's key file")
	case !filepath.IsAbs(c.Data) || !filepath.IsAbs(c.Run):
		return errors.New("data and run: give absolute paths of folders")
	case !c.Listen.IsValid() || !c.Observe.IsValid():
		return errors.New("listen and observe: give ip:port")
	case c.Driver != Libvirt && c.Driver != Fake:
		return fmt.Errorf("driver %q: accepted are %s and %s", c.Driver, Libvirt, Fake)
	case c.Driver == Libvirt && c.Agent == "":
		return errors.New("agent: give the path of the hippius-guest program")
	case c.Images.MaxGiB == 0:
		return errors.New("images.max_gib: give at least 1")
	case slices.ContainsFunc(c.Taps.LighthouseNets, func(p netip.Prefix) bool { return !p.IsValid() || !p.Addr().Is4() }):
		return errors.New("taps.lighthouse_nets: accepted are IPv4 networks such as 192.168.7.0/24")
	case len(c.Taps.DNS) > 8 || c.Taps.MTU < 576 || c.Taps.MTU > 9000:
		return errors.New("taps: accepted are up to 8 name servers and an MTU of 576 to 9000")
	case c.Taps.Connections < minConnections || c.Taps.Connections > maxConnections:
		return fmt.Errorf("taps.connections %d: accepted are %d to %d", c.Taps.Connections, minConnections, maxConnections)
	case c.Timing.Poll < minPoll || c.Timing.Poll > maxPoll:
		return fmt.Errorf("timing.poll %s: accepted are %s to %s", c.Timing.Poll, minPoll, maxPoll)
	case c.Timing.ReportEvery < time.Second || c.Timing.ReportEvery > maxReportEvery:
		return fmt.Errorf("timing.report_every %s: accepted are 1s to %s", c.Timing.ReportEvery, maxReportEvery)
	case c.Timing.ProofEvery < 100*time.Millisecond || c.Timing.ProofEvery > maxProofEvery:
		return fmt.Errorf("timing.proof_every %s: accepted are 100ms to %s", c.Timing.ProofEvery, maxProofEvery)
	case c.Timing.StopTimeout < time.Second || c.Timing.StopTimeout > maxStopTimeout:
		return fmt.Errorf("timing.stop_timeout %s: accepted are 1s to %s", c.Timing.StopTimeout, maxStopTimeout)
	}
	host, port, err := net.SplitHostPort(c.Public)
	if err != nil || host == "" {
		return fmt.Errorf("public %q: give host:port", c.Public)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("public %q: give host:port", c.Public)
	}
	return nil
}
