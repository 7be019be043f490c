package miner

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/guest/install"
	"github.com/hippius/compute/internal/netlab"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
	"github.com/hippius/compute/mesh/nebula/netstack"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/agent/agenttest"
	"github.com/hippius/compute/miner/forget"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/libvirt"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/network"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/record"
	"github.com/hippius/compute/miner/seed"
)

// realDir is where the miner of the test lives, on a tmpfs.
const realDir = "/run/hl-miner"

// TestMain moves the tests of root into a mount namespace with a /run of its
// own: nothing is left mounted or lying around, whatever happens.
func TestMain(m *testing.M) {
	testkit.Seclude("mode=755,size=2g", "mkdir -m 711 "+realDir)
	os.Exit(m.Run())
}

// Where things stand: the miner's uplink, and beyond it a lighthouse and a laptop.
const (
	uplink    = "10.77.0.1"
	beyond    = "10.77.0.2"
	houseAddr = "100.127.0.1"
	vmAddr    = "100.64.0.2"
	laptopAt  = "100.64.0.48"
)

// stage is a real host, a tenant and the agent between them.
type stage struct {
	t         *testing.T
	host, far *netlab.Lab
	tenant    *ca.Authority
	house     wire.Lighthouse
	laptop    *nebula.Node
	login     ssh.Signer
	hostCA    ssh.Signer
	chain     *agenttest.Chain
	driver    hypervisor.Driver
	network   *network.Network
	seeds     *seed.Store
	agentPart agent.Parts
	agentSet  agent.Config
	stop      func()

	mu      sync.Mutex
	bundles map[uint32]instance.Bundle
}

func newStage(t *testing.T, picture string) *stage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("runs a real VM: as root, in CI and in `sudo make test`")
	}
	base, err := filepath.Abs("../../build/images/" + picture + ".qcow2")
	testkit.Check(t, err)
	if _, err := os.Stat(base); err != nil {
		t.Skipf("no %s image: `make image` builds it, as CI does: %v", picture, err)
	}
	s := &stage{t: t, chain: agenttest.New(), bundles: map[uint32]instance.Bundle{}}
	s.chain.Size = size(3)
	s.labs()
	s.authorities()
	s.people()
	s.miner(base)
	return s
}

// size of a VM with a disk of so many GiB.
func size(diskGiB uint64) plan.Size {
	return plan.Size{VCPUs: 1, MemoryMiB: 512, DiskGiB: diskGiB, IOPS: 5000, DiskBytesPerSecond: 500e6, NetworkBitsPerSecond: 100e6}
}

func (s *stage) labs() {
	t := s.t
	t.Helper()
	for _, l := range []struct {
		name string
		lab  **netlab.Lab
		opts netlab.Options
	}{{"t-real-host", &s.host, netlab.Options{Libvirt: true}}, {"t-real-far", &s.far, netlab.Options{}}} {
		lab, err := netlab.New(t.Context(), l.name, l.opts)
		testkit.Check(t, err)
		t.Cleanup(func() { testkit.Check(t, lab.Close()) })
		*l.lab = lab
	}
	testkit.Check(t, netlab.Connect(
		netlab.End{Lab: s.host, Name: "uplink", Addr: netip.MustParsePrefix(uplink + "/30")},
		netlab.End{Lab: s.far, Name: "downlink", Addr: netip.MustParsePrefix(beyond + "/30")},
	))
	testkit.Check(t, s.host.Route(netip.Prefix{}, netip.MustParseAddr(beyond)))
	testkit.Check(t, s.host.StartLibvirt(t.Context()))
}

func (s *stage) log(who string) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("program", who)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// authorities are the tenant's CA and the lighthouse with its own.
func (s *stage) authorities() {
	t := s.t
	t.Helper()
	now := time.Now()
	var err error
	s.tenant, err = ca.NewTenant(random(ca.SeedSize), []netip.Prefix{netip.MustParsePrefix("100.64.0.0/26")}, "tenant", now.Add(-ca.Backdate), now.Add(24*time.Hour))
	testkit.Check(t, err)
	at := netip.MustParseAddr(houseAddr)
	operator, err := ca.NewLighthouse(random(ca.SeedSize), at, "house", now.Add(-ca.Backdate), now.Add(24*time.Hour))
	testkit.Check(t, err)
	cert, key := s.issue(operator, houseAddr, "house")
	listen := netip.MustParseAddrPort(beyond + ":4242")
	testkit.Check(t, s.far.Do(func() error {
		node, err := nebula.Start(context.WithoutCancel(t.Context()), nebula.Config{
			Mode: nebula.ModeNone, SelfCA: operator.Certificate().PEM(), CAs: [][]byte{s.tenant.Certificate().PEM()},
			Cert: cert, Key: key, AmLighthouse: true, AmRelay: true, Listen: listen,
		}, s.log("lighthouse"))
		if err == nil {
			t.Cleanup(func() { testkit.Check(t, node.Close()) })
		}
		return err
	}))
	s.house = wire.Lighthouse{
		Address: houseAddr, Underlay: []string{listen.String()}, CA: string(operator.Certificate().PEM()), Relay: true,
	}
}

// issue makes a host's certificate and key, both PEM.
func (s *stage) issue(a *ca.Authority, addr, name string) (certificate, key []byte) {
	s.t.Helper()
	public, private, err := cert.NewHostKey()
	testkit.Check(s.t, err)
	c, err := a.Issue(ca.Host{Name: name, Addr: netip.MustParseAddr(addr), PublicKey: public, Validity: 12 * time.Hour}, time.Now())
	testkit.Check(s.t, err)
	return c.PEM(), cert.HostKeyPEM(private)
}

// people are the laptop and its keys, and the CA of the VM's host keys.
func (s *stage) people() {
	t := s.t
	t.Helper()
	cert, key := s.issue(s.tenant, laptopAt, "laptop")
	testkit.Check(t, s.far.Do(func() (err error) {
		s.laptop, err = nebula.Start(context.WithoutCancel(t.Context()), nebula.Config{
			Mode: nebula.ModeUserspace, Stack: netstack.New, CAs: [][]byte{s.tenant.Certificate().PEM()}, Cert: cert, Key: key, UseRelays: true,
			Lighthouses: []nebula.Lighthouse{{
				Addr: netip.MustParseAddr(houseAddr), Underlay: []netip.AddrPort{netip.MustParseAddrPort(beyond + ":4242")},
				CA: []byte(s.house.CA), Relay: true,
			}},
			Firewall: nebula.AllowOut(),
		}, s.log("laptop"))
		return err
	}))
	t.Cleanup(func() { testkit.Check(t, s.laptop.Close()) })
	for _, k := range []*ssh.Signer{&s.login, &s.hostCA} {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		testkit.Check(t, err)
		*k, err = ssh.NewSignerFromKey(key)
		testkit.Check(t, err)
	}
}

// miner puts the agent's parts together: all real but the chain and the keepers.
func (s *stage) miner(base string) {
	t := s.t
	t.Helper()
	dir := func(name string) string { return filepath.Join(realDir, name) }
	set := libvirt.DefaultConfig()
	set.Socket, set.LibvirtRunDir = s.host.LibvirtSocket(), s.host.LibvirtRunDir()
	set.StateDir, set.RunDir, set.Tag, set.Log = dir("vms"), dir("run"), "tr", s.log("driver")
	driver, err := libvirt.New(t.Context(), set)
	testkit.Check(t, err)
	s.driver = driver
	t.Cleanup(func() { testkit.Check(t, driver.Close()) })

	nets := network.DefaultConfig()
	nets.Tag, nets.Log = "tr", s.log("network")
	nets.LighthouseNets = []netip.Prefix{netip.MustParsePrefix(beyond + "/32")}
	testkit.Check(t, s.host.Do(func() (err error) {
		if s.network, err = network.New(t.Context(), nets); err != nil {
			return err
		}
		return s.network.SetLighthouses([]netip.AddrPort{netip.MustParseAddrPort(beyond + ":4242")})
	}))

	group, err := groupOf(set.QEMUUser)
	testkit.Check(t, err)
	s.seeds, err = seed.NewStore(seed.Config{Dir: dir("seeds"), Group: group})
	testkit.Check(t, err)
	iso, err := seed.AgentISO(dir("iso"), buildAgent(t), install.Script())
	testkit.Check(t, err)
	images, err := image.New(image.Config{Dir: dir("images"), MaxBytes: gib, AllowFile: true, Log: s.log("images")})
	testkit.Check(t, err)
	t.Cleanup(images.Close)
	db, err := store.Open(dir("miner.db"))
	testkit.Check(t, err)
	t.Cleanup(func() { testkit.Check(t, db.Close()) })

	s.agentSet = agent.Config{
		ChainID: agenttest.ChainID, Miner: agenttest.Miner, AgentISO: iso, Poll: 100 * time.Millisecond,
		ReportEvery: 2 * time.Second, ProofEvery: time.Second, StopTimeout: 30 * time.Second,
	}
	s.agentPart = agent.Parts{
		Chain: s.chain, Catalogue: newCatalogue(t, base), Secrets: s, Images: images,
		Network: inLab{lab: s.host, taps: taps{network: s.network, set: Default().Taps}}, Seeds: s.seeds, Mesh: s,
		Driver: driver, State: record.New(db), Orders: forget.New(dir("forget")), Log: s.log("agent"),
	}
	ctx, cancel := context.WithCancel(context.Background())
	var blocks sync.WaitGroup
	blocks.Go(func() { s.chain.Run(ctx) })
	t.Cleanup(func() { cancel(); blocks.Wait() })
	s.startAgent()
	t.Cleanup(func() { s.stop() })
}

func (s *stage) startAgent() {
	s.t.Helper()
	a, err := agent.New(s.agentSet, s.agentPart)
	testkit.Check(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("agent: %v", err)
		}
	})
}

// inLab works on the network of a lab.
type inLab struct {
	lab  *netlab.Lab
	taps taps
}

func (n inLab) Attach(ctx context.Context, p provision.Port) (nic provision.NIC, err error) {
	err = n.lab.Do(func() (err error) { nic, err = n.taps.Attach(ctx, p); return err })
	return nic, err
}

func (n inLab) Detach(ctx context.Context, id vm.ID) error {
	return n.lab.Do(func() error { return n.taps.Detach(ctx, id) })
}

func buildAgent(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hippius-guest")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../../cmd/hippius-guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the agent: %v\n%s", err, out)
	}
	return path
}

type catalogue struct{ image plan.Image }

func newCatalogue(t *testing.T, base string) catalogue {
	t.Helper()
	data, err := os.ReadFile(base)
	testkit.Check(t, err)
	sum := sha256.Sum256(data)
	return catalogue{plan.Image{
		Name: "test", URLs: []string{"file://" + base}, SHA256: sum[:], SizeBytes: uint64(len(data)), Format: "qcow2",
	}}
}

func (c catalogue) Images(context.Context) ([]plan.Image, error) {
	return []plan.Image{c.image}, nil
}

func (catalogue) Apps(context.Context) ([]plan.App, error) {
	return []plan.App{{Name: "marker", Recipe: "runcmd:\n  - [touch, /var/lib/marker-app]\n"}}, nil
}

// View is what the chain would say of the mesh.
func (s *stage) View(context.Context, string) (wire.Mesh, error) {
	return wire.Mesh{Lighthouses: []wire.Lighthouse{s.house}}, nil
}

// Collect is what the keepers would give.
func (s *stage) Collect(_ context.Context, _ vm.ID, seq uint32) (instance.Bundle, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.bundles[seq]
	if !ok {
		return b, nil, errors.New("no such instance")
	}
	return b, []byte("#!/bin/sh\ntouch /var/lib/marker-user\n"), nil
}
