package doctor

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/params"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/daemon/miner"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/libvirt"
)

const (
	account    = "hip1operator"
	examinedAt = 1_800_000_000
)

// onChain is a chain with one miner.
type onChain struct {
	nodes   []client.NodeState
	version error
	head    int64
	miner   *node.Miner
	uhip    uint64
	ucredit uint64
	bonds   node.BondRates
}

func (c *onChain) ChainID() string                              { return "net-1" }
func (c *onChain) Close() error                                 { return nil }
func (c *onChain) Nodes(context.Context) []client.NodeState     { return c.nodes }
func (c *onChain) CheckVersion(context.Context) error           { return c.version }
func (c *onChain) Uhip(context.Context, string) (uint64, error) { return c.uhip, nil }
func (c *onChain) Head(context.Context) (vm.Head, error) {
	return vm.Head{Time: c.head}, nil
}

func (c *onChain) Params(context.Context) (params.Params, error) {
	return params.Params{Fees: credit.Fees{Base: 1000}, Bonds: c.bonds}, nil
}

func (c *onChain) Balance(context.Context, string) (credit.Balance, error) {
	return credit.Balance{Ucredit: c.ucredit}, nil
}

func (c *onChain) Miner(_ context.Context, operator string) (node.Miner, error) {
	if operator != account || c.miner == nil {
		return node.Miner{}, fmt.Errorf("miner: %w", client.ErrNotFound)
	}
	return *c.miner, nil
}

// well is a host where nothing is wrong, and its chain.
func well() (*Host, *onChain, *miner.Config) {
	identity := ed25519.PublicKey(bytes.Repeat([]byte{7}, 32))
	set := miner.Default()
	set.Public, set.Wallet, set.Network = "miner.example.org:7430", "/etc/hippius/miner-wallet", "/etc/hippius/network.json"
	c := &onChain{
		nodes: []client.NodeState{{Address: "a:1"}, {Address: "b:1"}}, head: examinedAt - 1, ucredit: 1e6,
		miner: &node.Miner{Offer: node.Offer{Name: "rack-1", Identity: identity}, Status: node.Active, BondUhip: set.BondUhip},
	}
	return &Host{
		Arch: "amd64", Cores: func() int { return 8 }, Now: func() time.Time { return time.Unix(examinedAt, 0) },
		Settings: func(string) (miner.Config, error) { return set, nil }, Euid: func() int { return 0 },
		Capabilities: func() (uint64, error) { return 1<<41 - 1, nil },
		Accelerate: func(context.Context, libvirt.Accel) (libvirt.Choice, error) {
			return libvirt.Choice{Acceleration: hypervisor.AccelKVM, Evidence: "a guest ran"}, nil
		},
		Memory:   func() (uint64, uint64, error) { return 64 << 10, 60 << 10, nil },
		Free:     func(path string) (uint64, string, error) { return 900 * gib, path, nil },
		Libvirt:  func(context.Context, string) (string, error) { return "QEMU 7.2.0, libvirt 9.0.0", nil },
		Version:  func(_ context.Context, tool string) (string, error) { return tool + " version 7.2", nil },
		User:     func(string) error { return nil },
		Firewall: func() error { return nil }, Blocked: func(string) ([]string, error) { return nil, nil }, Device: func(string) error { return nil }, Program: func(string) error { return nil },
		Listen:  func(context.Context, netip.AddrPort) error { return nil },
		Healthy: func(context.Context, netip.AddrPort) bool { return false },
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("198.51.100.7")}, nil
		},
		Wallet:   func(string) (string, error) { return account, nil },
		Identity: func(string) (ed25519.PublicKey, error) { return identity, nil },
		Chain:    func(miner.Config) (Chain, error) { return c, nil },
	}, c, &set
}

func TestWellHost(t *testing.T) {
	t.Parallel()
	host, _, _ := well()
	findings := Examine(t.Context(), "miner.yaml", *host)
	if len(findings) != len(checks())+1 || MustFix(findings) {
		t.Errorf("%d findings: %+v", len(findings), findings)
	}
	for _, f := range findings {
		if f.Level != OK || f.Found == "" || f.Mend != "" || f.Check == "" {
			t.Errorf("%+v", f)
		}
	}
}

// Each thing that can be wrong is found, alone, and with what to do about it.
func TestWhatIsWrong(t *testing.T) {
	t.Parallel()
	no := errors.New("no such thing")
	unnamed := []string{"public address", "wallet", "network", "registration"} // by the defaults
	for name, c := range map[string]struct {
		spoil       func(h *Host, c *onChain, set *miner.Config)
		check       string
		level       Level
		found, mend string
		// more checks that cannot be made then
		more []string
	}{
		"settings": {check: "settings", level: Bad, found: "no such thing", mend: "hippius-miner sample", spoil: func(h *Host, _ *onChain, set *miner.Config) {
			h.Settings = func(string) (miner.Config, error) { return *set, no }
		}, more: unnamed},
		"no settings": {check: "settings", level: Bad, found: "there are no settings at miner.yaml", mend: "copy /usr/share", spoil: func(h *Host, _ *onChain, set *miner.Config) {
			h.Settings = func(string) (miner.Config, error) {
				return *set, fmt.Errorf("read settings: %w", fs.ErrNotExist)
			}
		}, more: unnamed},
		"no wallet named":  {check: "wallet", level: Bad, found: "name no wallet", mend: "login --backup FILE", spoil: func(_ *Host, _ *onChain, s *miner.Config) { s.Wallet = "" }, more: []string{"registration"}},
		"no network named": {check: "network", level: Bad, found: "name no network", mend: "every network publishes", spoil: func(_ *Host, _ *onChain, s *miner.Config) { s.Network = "" }},
		"public not named": {check: "public address", level: Bad, found: "no public address", mend: "host:port", spoil: func(_ *Host, _ *onChain, s *miner.Config) { s.Public = "" }},
		"not root":         {check: "privileges", level: Bad, found: "user 7", mend: "sudo", spoil: func(h *Host, _ *onChain, _ *miner.Config) { h.Euid = func() int { return 7 } }},
		"no net_admin": {check: "privileges", level: Bad, found: "root lacks CAP_NET_ADMIN here", mend: "capabilities", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Capabilities = func() (uint64, error) { return 1<<capNetAdmin - 1, nil }
		}},
		"no capabilities":    {check: "privileges", level: Bad, found: "CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_NET_ADMIN", mend: "capabilities", spoil: func(h *Host, _ *onChain, _ *miner.Config) { h.Capabilities = func() (uint64, error) { return 0, nil } }},
		"unknown privileges": {check: "privileges", level: Warn, found: "unknown", mend: "/proc", spoil: func(h *Host, _ *onChain, _ *miner.Config) { h.Capabilities = func() (uint64, error) { return 0, no } }},
		"arm":                {check: "processor", level: Bad, found: "arm64", mend: "x86-64", spoil: func(h *Host, _ *onChain, _ *miner.Config) { h.Arch = "arm64" }},
		"fake driver":        {check: "acceleration", level: Warn, found: "runs no VMs", mend: "driver: libvirt", spoil: func(_ *Host, _ *onChain, s *miner.Config) { s.Driver = miner.Fake }},
		"emulation": {check: "acceleration", level: Warn, found: "would be emulated", mend: "firmware", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Accelerate = func(context.Context, libvirt.Accel) (libvirt.Choice, error) {
				return libvirt.Choice{Acceleration: hypervisor.AccelTCG, Evidence: "no vmx"}, nil
			}
		}},
		"kvm wanted": {check: "acceleration", level: Bad, found: "no such thing", mend: "libvirt.accel: auto", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Accelerate = func(context.Context, libvirt.Accel) (libvirt.Choice, error) { return libvirt.Choice{}, no }
		}},
		"memory unknown": {check: "memory", level: Bad, found: "no such thing", mend: "/proc", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Memory = func() (uint64, uint64, error) { return 0, 0, no }
		}},
		"little memory": {check: "memory", level: Bad, found: "500 MiB are left", mend: "add memory", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Memory = func() (uint64, uint64, error) { return 1524, 1500, nil }
		}},
		"too much offered": {check: "memory", level: Bad, found: "70000 MiB are offered", mend: "64512 or less", spoil: func(_ *Host, _ *onChain, s *miner.Config) { s.Offer.MemoryMiB = 70_000 }},
		"memory taken": {check: "memory", level: Warn, found: "only 100 are free", mend: "offer less", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Memory = func() (uint64, uint64, error) { return 64 << 10, 100, nil }
		}},
		"disk unknown": {check: "disk for VMs", level: Bad, found: "no such thing", mend: "make the folder", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Free = func(p string) (uint64, string, error) { return 900 * gib, p, onlyFor(p, "images", nil, no) }
		}},
		"disk full": {check: "disk for VMs", level: Bad, found: "2 GiB are free", mend: "larger disk", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Free = func(p string) (uint64, string, error) { return onlyFor[uint64](p, "images", 900*gib, 12*gib), p, nil }
		}},
		"small disk": {check: "disk for VMs", level: Warn, found: "30 GiB are free", mend: "larger disk", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Free = func(p string) (uint64, string, error) { return onlyFor[uint64](p, "images", 900*gib, 40*gib), p, nil }
		}},
		"images unknown": {check: "disk for images", level: Bad, found: "no such thing", mend: "make the folder", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Free = func(p string) (uint64, string, error) { return 900 * gib, p, onlyFor(p, "images", no, nil) }
		}},
		"no room for images": {check: "disk for images", level: Bad, found: "3 GiB are free", mend: "one image", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Free = func(p string) (uint64, string, error) { return onlyFor[uint64](p, "images", 3*gib, 900*gib), p, nil }
		}},
		"little room for images": {check: "disk for images", level: Warn, found: "may take 50 GiB and 20", mend: "images.max_gib to 10", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Free = func(p string) (uint64, string, error) { return onlyFor[uint64](p, "images", 20*gib, 900*gib), p, nil }
		}},
		"no libvirtd": {check: "libvirt", level: Bad, found: "does not answer at /run/libvirt/libvirt-sock", mend: "systemctl enable --now libvirtd", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Libvirt = func(context.Context, string) (string, error) { return "", no }
		}},
		"no qemu-img": {check: "qemu", level: Bad, found: "qemu-img does not run", mend: "qemu-utils", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Version = func(_ context.Context, tool string) (string, error) { return "", onlyFor(tool, "img", no, nil) }
		}},
		"no qemu": {check: "qemu", level: Bad, found: "qemu-system-x86_64 does not run", mend: "qemu-system-x86", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Version = func(_ context.Context, tool string) (string, error) { return "", onlyFor(tool, "system", no, nil) }
		}},
		"no qemu user": {check: "qemu's user", level: Bad, found: "no such thing", mend: "qemu.conf", spoil: func(h *Host, _ *onChain, _ *miner.Config) { h.User = func(string) error { return no } }},
		"no nftables":  {check: "firewall", level: Bad, found: "no such thing", mend: "modprobe nf_tables", spoil: func(h *Host, _ *onChain, _ *miner.Config) { h.Firewall = func() error { return no } }},
		"another's policy": {check: "forwarding", level: Bad, found: "FORWARD in table filter", mend: "DOCKER-USER -i hip", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Blocked = func(string) ([]string, error) { return []string{"FORWARD in table filter"}, no }
			h.Healthy = func(context.Context, netip.AddrPort) bool { return true }
		}},
		"another's rules unknown": {check: "forwarding", level: Warn, found: "no such thing", mend: "nft list", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Blocked = func(string) ([]string, error) { return nil, no }
		}},
		"no tun": {check: "taps", level: Bad, found: "no such thing", mend: "modprobe tun", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Device = func(p string) error { return onlyFor(p, "tun", no, nil) }
		}},
		"no vhost": {check: "vhost", level: Warn, found: "slower", mend: "modprobe vhost_net", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Device = func(p string) error { return onlyFor(p, "vhost", no, nil) }
		}},
		"no agent": {check: "guest agent", level: Bad, found: "no such thing", mend: "install the package", spoil: func(h *Host, _ *onChain, _ *miner.Config) { h.Program = func(string) error { return no } }},
		"port taken": {check: "ports", level: Bad, found: "listen: no such thing", mend: "ss -ltnp", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Listen = func(_ context.Context, a netip.AddrPort) error { return onlyFor(a.String(), "7430", no, nil) }
		}},
		"metrics for everyone": {check: "ports", level: Warn, found: "shows the miner's metrics to everyone", mend: "127.0.0.1", spoil: func(_ *Host, _ *onChain, s *miner.Config) {
			s.Observe = netip.MustParseAddrPort("198.51.100.7:9466")
		}},
		"no public": {check: "public address", level: Bad, found: "not host:port", mend: "set public", spoil: func(_ *Host, _ *onChain, s *miner.Config) { s.Public = "here" }},
		"unknown name": {check: "public address", level: Bad, found: "is not found", mend: "DNS", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, no }
		}},
		"private address": {check: "public address", level: Warn, found: "192.168.1.2", mend: "forward the port", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("192.168.1.2")}, nil
			}
		}},
		"wallet": {check: "wallet", level: Bad, found: "no such thing", mend: "chmod 0600", more: []string{"registration"}, spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Wallet = func(string) (string, error) { return "", no }
		}},
		"no profile": {check: "network", level: Bad, found: "no such thing", mend: "put the network's profile", more: []string{"versions", "clock", "registration"}, spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Chain = func(miner.Config) (Chain, error) { return nil, no }
		}},
		"no node answers": {check: "network", level: Bad, found: "no chain node of the profile answers: a:1 (no such thing)", mend: "connect out", more: []string{"versions", "clock", "registration"}, spoil: func(_ *Host, c *onChain, _ *miner.Config) {
			c.nodes = []client.NodeState{{Address: "a:1", Err: no}}
		}},
		"a node is down":  {check: "network", level: Warn, found: "1 of 2", mend: "remove", spoil: func(_ *Host, c *onChain, _ *miner.Config) { c.nodes[1].Err = no }},
		"other version":   {check: "versions", level: Warn, found: "different versions", mend: "upgrade", spoil: func(_ *Host, c *onChain, _ *miner.Config) { c.version = client.ErrOtherVersion }},
		"version unknown": {check: "versions", level: Warn, found: "no such thing", mend: "try again", spoil: func(_ *Host, c *onChain, _ *miner.Config) { c.version = no }},
		"clock behind":    {check: "clock", level: Bad, found: "1m0s behind", mend: "set-ntp", spoil: func(_ *Host, c *onChain, _ *miner.Config) { c.head = examinedAt + 60 }},
		"clock ahead":     {check: "clock", level: Bad, found: "5m0s old by this host's clock", mend: "set-ntp", spoil: func(_ *Host, c *onChain, _ *miner.Config) { c.head = examinedAt - 300 }},
		"not registered":  {check: "registration", level: Warn, found: "not registered yet", mend: "start the miner", spoil: func(_ *Host, c *onChain, s *miner.Config) { c.miner, c.uhip = nil, s.BondUhip }},
		"no bond":         {check: "registration", level: Bad, found: "lacks 1000000000 uhip and the account has 5", mend: "send 999999995 uhip to hip1operator", spoil: func(_ *Host, c *onChain, _ *miner.Config) { c.miner, c.uhip = nil, 5 }},
		"no fees":         {check: "registration", level: Bad, found: "99999 ucredit", mend: "buy credits", spoil: func(_ *Host, c *onChain, s *miner.Config) { c.miner, c.uhip, c.ucredit = nil, s.BondUhip, 99_999 }},
		"bond too small":  {check: "registration", level: Bad, found: "lacks 1 uhip", mend: "send 1 uhip", spoil: func(_ *Host, c *onChain, _ *miner.Config) { c.miner.BondUhip-- }},
		"bond to be made": {check: "registration", level: Warn, found: "lacks 1 uhip, which the account has", mend: "start the miner", spoil: func(_ *Host, c *onChain, _ *miner.Config) { c.miner.BondUhip--; c.uhip = 1 }},
		"bond for less": {check: "registration", level: Warn, found: "covers 200 of 400 cores", mend: "bond_uhip to 2000000000", spoil: func(_ *Host, c *onChain, _ *miner.Config) {
			c.bonds, c.miner.Capacity = node.BondRates{Core: 5_000_000}, node.Capacity{Cores: 400, MemoryMiB: 1, DiskGiB: 1}
		}},
		"draining": {check: "registration", level: Warn, found: "draining: it takes no new VMs and keeps the 3", mend: "undrain", spoil: func(_ *Host, c *onChain, _ *miner.Config) {
			c.miner.Status, c.miner.Usage = node.Draining, node.Usage{VMs: 3}
		}},
		"unbonding": {check: "registration", level: Warn, found: "unbonding", mend: "after Fri, 15 Jan 2027", spoil: func(_ *Host, c *onChain, _ *miner.Config) {
			c.miner.Status, c.miner.UnbondingUntil = node.Unbonding, examinedAt
		}},
		"gone": {check: "registration", level: Warn, found: "gone", mend: "registers again", spoil: func(_ *Host, c *onChain, _ *miner.Config) {
			c.miner.Status = node.Gone
		}},
		"another's key": {check: "registration", level: Bad, found: "by another key", mend: "backup", spoil: func(_ *Host, c *onChain, _ *miner.Config) { c.miner.Identity = bytes.Repeat([]byte{8}, 32) }},
		"broken key": {check: "registration", level: Bad, found: "no such thing", mend: "chmod 0600", spoil: func(h *Host, _ *onChain, _ *miner.Config) {
			h.Identity = func(string) (ed25519.PublicKey, error) { return nil, no }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, chain, set := well()
			c.spoil(host, chain, set)
			wrong := map[string]bool{}
			for _, f := range Examine(t.Context(), "miner.yaml", *host) {
				if f.Level == OK {
					continue
				}
				wrong[f.Check] = true
				if f.Check == c.check && (f.Level != c.level || !strings.Contains(f.Found, c.found) || !strings.Contains(f.Mend, c.mend)) {
					t.Errorf("%+v; want %s, %q, mended by %q", f, c.level, c.found, c.mend)
				}
			}
			want := map[string]bool{c.check: true}
			for _, m := range c.more {
				want[m] = true
			}
			if fmt.Sprint(wrong) != fmt.Sprint(want) {
				t.Errorf("wrong are %v, want %v", wrong, want)
			}
		})
	}
}

// onlyFor gives yes for what holds part, else no.
func onlyFor[T any](what, part string, yes, no T) T {
	if strings.Contains(what, part) {
		return yes
	}
	return no
}

// Beside a running miner, what it holds is not missed.
func TestBesideARunningMiner(t *testing.T) {
	t.Parallel()
	host, _, _ := well()
	host.Healthy = func(context.Context, netip.AddrPort) bool { return true }
	host.Listen = func(context.Context, netip.AddrPort) error { return errors.New("in use") }
	host.Memory = func() (uint64, uint64, error) { return 64 << 10, 100, nil }
	host.Free = func(p string) (uint64, string, error) { return 61 * gib, p, nil }
	if f := Examine(t.Context(), "miner.yaml", *host); MustFix(f) {
		t.Errorf("%+v", f)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	run := func(host *Host, args ...string) (string, error) {
		var out bytes.Buffer
		cmd := Command(*host)
		cmd.SetOut(&out)
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	host, chain, _ := well()
	if out, err := run(host); err != nil || !strings.Contains(out, "ok    clock") {
		t.Errorf("well: %v\n%s", err, out)
	}
	chain.head = examinedAt + 60
	out, err := run(host)
	if !errors.Is(err, ErrMustFix) || !strings.Contains(out, "bad   clock              this host's clock is 1m0s behind") || !strings.Contains(out, "→ apt-get install") {
		t.Errorf("clock behind: %v\n%s", err, out)
	}
	out, err = run(host, "-o", "json")
	var findings []Finding
	if jsonErr := json.Unmarshal([]byte(out), &findings); jsonErr != nil || !errors.Is(err, ErrMustFix) || len(findings) != len(checks())+1 {
		t.Errorf("json: %v, %v\n%s", err, jsonErr, out)
	}
	if _, err := run(host, "-o", "xml"); err == nil || errors.Is(err, ErrMustFix) {
		t.Errorf("xml: %v", err)
	}
}

// The questions to the real host can be asked here, whatever the answers are.
func TestThisHost(t *testing.T) {
	t.Parallel()
	h := ThisHost()
	if total, available, err := h.Memory(); err != nil || total == 0 || available > total {
		t.Errorf("memory %d, %d, %v", total, available, err)
	}
	dir := t.TempDir()
	if free, at, err := h.Free(dir + "/not/there"); err != nil || free == 0 || at != dir {
		t.Errorf("free %d at %s, %v", free, at, err)
	}
	if _, err := h.Capabilities(); err != nil {
		t.Error(err)
	}
	if err := h.Program("/proc/self/exe"); err != nil {
		t.Error(err)
	}
	if err := h.Program(dir); err == nil {
		t.Error("a folder is a program")
	}
	if err := h.Device(dir + "/none"); err == nil {
		t.Error("a device that is not there opens")
	}
	if key, err := h.Identity(dir); key != nil || err != nil {
		t.Errorf("identity %x, %v", key, err)
	}
	taken := netip.MustParseAddrPort("127.0.0.1:0")
	if err := h.Listen(t.Context(), taken); err != nil {
		t.Error(err)
	}
	if h.Healthy(t.Context(), netip.MustParseAddrPort("127.0.0.1:1")) {
		t.Error("a miner answers where nobody listens")
	}
	if _, err := h.Libvirt(t.Context(), dir+"/none"); err == nil {
		t.Error("a libvirtd answers that is not there")
	}
	if _, err := h.Settings(dir + "/none"); err == nil {
		t.Error("settings that are not there")
	}
	if _, err := h.Wallet(dir + "/none"); err == nil {
		t.Error("a wallet that is not there")
	}
}
