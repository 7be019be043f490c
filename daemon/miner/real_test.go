package miner

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	marketplacev1 "github.com/hippius/compute/api/chain/marketplace/v1"
	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	corevm "github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/guest/install"
	"github.com/hippius/compute/internal/netlab"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/nebula"
	"github.com/hippius/compute/mesh/nebula/netstack"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/agent/agenttest"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/network"
	"github.com/hippius/compute/miner/seed"
	"github.com/hippius/compute/miner/vm"
	"github.com/hippius/compute/miner/vm/libvirt"
)

// secluded marks the process that has a /run of its own.
const secluded = "HIPPIUS_TEST_SECLUDED"

// realDir is where the miner of the test lives, on a tmpfs.
const realDir = "/run/hl-miner"

// TestMain moves the tests of root into a mount namespace with a /run of its
// own: nothing is left mounted or lying around, whatever happens.
func TestMain(m *testing.M) {
	if os.Geteuid() == 0 && os.Getenv(secluded) == "" {
		unshare, err := exec.LookPath("unshare")
		if err == nil {
			argv := append([]string{
				"unshare", "--mount", "--net", "bash", "-c",
				"mount -t tmpfs -o mode=755,size=2g tmpfs /run && mkdir -m 711 " + realDir + ` && exec "$@"`, "bash",
			}, os.Args...)
			err = syscall.Exec(unshare, argv, append(os.Environ(), secluded+"=1"))
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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
	driver    vm.Driver
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
		t.Skip("runs a real machine: as root, in CI and in `sudo make test`")
	}
	base, err := filepath.Abs("../../build/images/" + picture + ".qcow2")
	check(t, err)
	if _, err := os.Stat(base); err != nil {
		t.Skipf("no %s image: `make image` builds it, as CI does: %v", picture, err)
	}
	s := &stage{t: t, chain: agenttest.New(), bundles: map[uint32]instance.Bundle{}}
	s.labs()
	s.authorities()
	s.people()
	s.miner(base)
	return s
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
		check(t, err)
		t.Cleanup(func() { check(t, lab.Close()) })
		*l.lab = lab
	}
	check(t, netlab.Connect(
		netlab.End{Lab: s.host, Name: "uplink", Addr: netip.MustParsePrefix(uplink + "/30")},
		netlab.End{Lab: s.far, Name: "downlink", Addr: netip.MustParsePrefix(beyond + "/30")},
	))
	check(t, s.host.Route(netip.Prefix{}, netip.MustParseAddr(beyond)))
	check(t, s.host.StartLibvirt(t.Context()))
}

func (s *stage) log(who string) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("who", who)
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
	check(t, err)
	at := netip.MustParseAddr(houseAddr)
	operator, err := ca.NewLighthouse(random(ca.SeedSize), at, "house", now.Add(-ca.Backdate), now.Add(24*time.Hour))
	check(t, err)
	cert, key := s.issue(operator, houseAddr, "house")
	listen := netip.MustParseAddrPort(beyond + ":4242")
	check(t, s.far.Do(func() error {
		node, err := nebula.Start(context.WithoutCancel(t.Context()), nebula.Config{
			Mode: nebula.ModeNone, SelfCA: operator.Certificate().PEM(), CAs: [][]byte{s.tenant.Certificate().PEM()},
			Cert: cert, Key: key, AmLighthouse: true, AmRelay: true, Listen: listen,
		}, s.log("lighthouse"))
		if err == nil {
			t.Cleanup(func() { check(t, node.Close()) })
		}
		return err
	}))
	s.house = wire.Lighthouse{
		Address: houseAddr, Underlay: []string{listen.String()}, CA: string(operator.Certificate().PEM()), Relay: true,
	}
}

// issue makes a host's certificate and key, both PEM.
func (s *stage) issue(a *ca.Authority, addr, name string) (cert, key []byte) {
	s.t.Helper()
	public, private, err := nebula.NewHostKey()
	check(s.t, err)
	c, err := a.Issue(ca.Host{Name: name, Addr: netip.MustParseAddr(addr), PublicKey: public, Validity: 12 * time.Hour}, time.Now())
	check(s.t, err)
	return c.PEM(), pem.EncodeToMemory(&pem.Block{Type: "NEBULA X25519 PRIVATE KEY", Bytes: private})
}

// people are the laptop and its keys, and the CA of the VM's host keys.
func (s *stage) people() {
	t := s.t
	t.Helper()
	cert, key := s.issue(s.tenant, laptopAt, "laptop")
	check(t, s.far.Do(func() (err error) {
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
	t.Cleanup(func() { check(t, s.laptop.Close()) })
	for _, k := range []*ssh.Signer{&s.login, &s.hostCA} {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		check(t, err)
		*k, err = ssh.NewSignerFromKey(key)
		check(t, err)
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
	check(t, err)
	s.driver = driver
	t.Cleanup(func() { check(t, driver.Close()) })

	nets := network.DefaultConfig()
	nets.Tag, nets.Log = "tr", s.log("network")
	check(t, s.host.Do(func() (err error) {
		if s.network, err = network.New(t.Context(), nets); err != nil {
			return err
		}
		return s.network.SetLighthouses([]netip.AddrPort{netip.MustParseAddrPort(beyond + ":4242")})
	}))

	group, err := groupOf(set.QEMUUser)
	check(t, err)
	s.seeds, err = seed.NewStore(seed.Config{Dir: dir("seeds"), Group: group})
	check(t, err)
	iso, err := seed.AgentISO(dir("iso"), buildAgent(t), install.Script())
	check(t, err)
	images, err := image.New(image.Config{Dir: dir("images"), MaxBytes: gib, AllowFile: true, Log: s.log("images")})
	check(t, err)
	t.Cleanup(images.Close)
	db, err := store.Open(dir("miner.db"))
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })

	s.agentSet = agent.Config{
		ChainID: agenttest.ChainID, Miner: agenttest.Miner, AgentISO: iso, Poll: 100 * time.Millisecond,
		ReportEvery: 2 * time.Second, ProofEvery: time.Second, StopTimeout: 30 * time.Second,
	}
	s.agentPart = agent.Parts{
		Chain: s.chain, Catalogue: newCatalogue(t, base), Secrets: s, Images: images,
		Network: inLab{lab: s.host, taps: taps{network: s.network, set: Default().Taps}}, Seeds: s.seeds, Mesh: s,
		Driver: driver, State: agent.NewState(db), Log: s.log("agent"),
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
	check(s.t, err)
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

func (n inLab) Attach(ctx context.Context, p agent.Port) (nic agent.NIC, err error) {
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

type catalogue struct{ image *marketplacev1.Image }

func newCatalogue(t *testing.T, base string) catalogue {
	t.Helper()
	data, err := os.ReadFile(base)
	check(t, err)
	sum := sha256.Sum256(data)
	return catalogue{&marketplacev1.Image{
		Name: "test", Urls: []string{"file://" + base}, Sha256: sum[:], SizeBytes: uint64(len(data)), Format: "qcow2",
	}}
}

func (catalogue) Plans(context.Context) ([]*marketplacev1.PlanPrice, error) {
	return []*marketplacev1.PlanPrice{{Plan: &marketplacev1.Plan{
		Name: "spark", Vcpus: 1, MemoryMib: 512, DiskGib: 3, Iops: 5000, DiskBytesPerSecond: 500e6, NetworkBitsPerSecond: 100e6,
	}}}, nil
}

func (c catalogue) Images(context.Context) ([]*marketplacev1.Image, error) {
	return []*marketplacev1.Image{c.image}, nil
}

func (catalogue) Apps(context.Context) ([]*marketplacev1.App, error) {
	return []*marketplacev1.App{{Name: "marker", Recipe: "runcmd:\n  - [touch, /var/lib/marker-app]\n"}}, nil
}

// View is what the chain would say of the mesh.
func (s *stage) View(context.Context, string) (wire.Mesh, error) {
	return wire.Mesh{Lighthouses: []wire.Lighthouse{s.house}}, nil
}

// Collect is what the keepers would give.
func (s *stage) Collect(_ context.Context, _ string, seq uint32) (instance.Bundle, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.bundles[seq]
	if !ok {
		return b, nil, errors.New("no such instance")
	}
	return b, []byte("#!/bin/sh\ntouch /var/lib/marker-user\n"), nil
}

// create orders a VM as a tenant's client would.
func (s *stage) create() string {
	s.t.Helper()
	id := hex.EncodeToString(random(16))
	_, proofKey, err := ed25519.GenerateKey(rand.Reader)
	check(s.t, err)
	cert, key := s.issue(s.tenant, vmAddr, "web-1")
	hostKey, hostCert := s.hostKey(id)
	s.bundles[1] = instance.Bundle{
		VMID: id, Seq: 1, ProofKey: proofKey.Seed(), MeshCA: string(s.tenant.Certificate().PEM()), MeshCert: string(cert), MeshKey: string(key),
		SSHHostKey: hostKey, SSHHostCert: hostCert, DiskKey: random(32), CheckpointKey: random(32),
	}
	pub, ok := proofKey.Public().(ed25519.PublicKey)
	if !ok {
		s.t.Fatal("not an ed25519 key")
	}
	s.chain.Create(id, "hip1tenant", &computev1.VMSpec{
		Name: "web-1", Plan: "spark", Image: "test", Apps: []string{"marker"}, Power: computev1.Power_POWER_ON, MeshAddress: vmAddr,
	}, []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.login.PublicKey()))) + " laptop"}, pub)
	return id
}

// hostKey makes the SSH host key of an instance and its certificate.
func (s *stage) hostKey(id string) (key, cert string) {
	s.t.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	check(s.t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	check(s.t, err)
	public, err := ssh.NewPublicKey(pub)
	check(s.t, err)
	c := &ssh.Certificate{
		Key: public, Serial: 1, CertType: ssh.HostCert, KeyId: id, ValidPrincipals: []string{vmAddr},
		ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()), //nolint:gosec // now is positive
	}
	check(s.t, c.SignCert(rand.Reader, s.hostCA))
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(c))
}

// ssh runs a command in the VM from the laptop, which accepts the host only by
// a certificate of the VM's CA.
func (s *stage) ssh(command string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := s.laptop.DialContext(ctx, "tcp", vmAddr+":22")
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	check(s.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	checker := &ssh.CertChecker{IsHostAuthority: func(k ssh.PublicKey, _ string) bool {
		return bytes.Equal(k.Marshal(), s.hostCA.PublicKey().Marshal())
	}}
	c, chans, reqs, err := ssh.NewClientConn(conn, net.JoinHostPort(vmAddr, "22"), &ssh.ClientConfig{
		User: wire.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.login)}, HostKeyCallback: checker.CheckHostKey,
		HostKeyAlgorithms: []string{ssh.CertAlgoED25519v01},
	})
	if err != nil {
		return "", err
	}
	client := ssh.NewClient(c, chans, reqs)
	defer func() { _ = client.Close() }()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	out, err := session.CombinedOutput(command)
	return strings.TrimSpace(string(out)), err
}

// until waits for something real machines do.
func (s *stage) until(what string, within time.Duration, ok func() bool) {
	s.t.Helper()
	began := time.Now()
	for time.Since(began) < within {
		if ok() {
			s.t.Logf("%s after %.1f s", what, time.Since(began).Seconds())
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("not within %s: %s\n%s\nconsole:\n%s", within, what, s.chain.Account(), s.console())
}

func (s *stage) console() string {
	infos, err := s.driver.List(context.Background())
	if err != nil || len(infos) == 0 {
		return fmt.Sprint(infos, err)
	}
	log, err := s.driver.ConsoleLog(context.Background(), infos[0].ID)
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-6000):])
}

func (s *stage) reach(what string) {
	s.t.Helper()
	var last error
	defer func() {
		if s.t.Failed() {
			s.t.Logf("last attempt: %v", last)
		}
	}()
	s.until(what, time.Minute, func() bool {
		_, last = s.ssh("true")
		return last == nil
	})
}

func (s *stage) run(command, want string) {
	s.t.Helper()
	out, err := s.ssh(command)
	if err != nil || !strings.Contains(out, want) {
		s.t.Errorf("%s says %q, %v; want %q", command, out, err, want)
	}
}

func (s *stage) order(id string, ev corevm.Event) {
	s.t.Helper()
	check(s.t, s.chain.Order(id, ev))
}

func (s *stage) phase(id string, p corevm.Phase) {
	s.t.Helper()
	s.until("phase "+p.String(), 2*time.Minute, func() bool { return s.chain.Phase(id) == p })
}

func (s *stage) inspect(id string) vm.Info {
	s.t.Helper()
	info, err := s.driver.Inspect(s.t.Context(), vm.ID(id))
	check(s.t, err)
	return info
}

// state lists what a machine may leave on the host.
func (s *stage) state() string {
	s.t.Helper()
	var all strings.Builder
	for _, argv := range [][]string{{"ip", "-o", "link"}, {"nft", "list", "ruleset"}, {"pgrep", "-x", "qemu-system-x86"}} {
		out, err := s.host.Command(s.t.Context(), argv...).CombinedOutput()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			s.t.Fatal(err)
		}
		all.Write(out)
	}
	for _, dir := range []string{"seeds", "run", "vms/disks"} {
		entries, err := os.ReadDir(filepath.Join(realDir, dir))
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			fmt.Fprintln(&all, dir, e.Name())
		}
	}
	return all.String()
}

func TestRealMachine(t *testing.T) {
	s := newStage(t, "tiny")
	before := s.state()
	id := s.create()
	s.phase(id, corevm.Running)
	s.reach("first SSH over the mesh")
	if s.chain.Proven(id) == 0 {
		t.Error("it runs without a proof")
	}
	s.run("id", "uid=1000(hippius)")
	s.run("sudo id -u", "0")
	s.run("hostname", "web-1")
	s.run("sudo sh -c 'echo kept >/root/file; sync'", "")
	proofs := s.chain.Proven(id)
	s.until("further proofs", 20*time.Second, func() bool { return s.chain.Proven(id) >= proofs+2 })

	// A restart of the agent is nothing to the machine.
	pid := s.inspect(id).PID
	s.stop()
	s.startAgent()
	proofs = s.chain.Proven(id)
	s.until("proofs after a restart of the agent", 20*time.Second, func() bool { return s.chain.Proven(id) > proofs })
	if got := s.inspect(id).PID; got != pid {
		t.Errorf("process %d became %d", pid, got)
	}

	s.order(id, corevm.Reboot)
	s.until("rebooted", 2*time.Minute, func() bool {
		return s.chain.Get(id).GetStatus().GetObservedRebootSeq() == 1 && s.chain.Phase(id) == corevm.Running
	})
	s.reach("SSH after the reboot")

	s.order(id, corevm.Stop)
	s.phase(id, corevm.Stopped)
	if info := s.inspect(id); info.StopReason != vm.StopGuest {
		t.Errorf("stopped by %s, want a clean shutdown", info.StopReason)
	}
	if seeds, err := s.seeds.List(); err != nil || len(seeds) != 0 {
		t.Errorf("a stopped machine keeps its seed: %v, %v", seeds, err)
	}
	s.order(id, corevm.Start)
	s.phase(id, corevm.Running)
	s.reach("SSH after stop and start")
	s.run("sudo cat /root/file", "kept")

	// The process dies: it is started again, and the chain is told.
	check(t, s.host.Command(t.Context(), "kill", "-KILL", strconv.Itoa(s.inspect(id).PID)).Run())
	s.until("told of the death", 30*time.Second, func() bool { return s.chain.Saw(id, "provisioning "+corevm.ReasonHostProcessDied) })
	s.phase(id, corevm.Running)
	s.reach("SSH after the death of the process")

	// The guest shuts itself down: that is a wish.
	if _, err := s.ssh("sudo sh -c 'sleep 1; kill -USR2 1' >/dev/null 2>&1 &"); err != nil {
		t.Error(err)
	}
	s.phase(id, corevm.Stopped)
	if r := s.chain.Get(id).GetStatus().GetReason(); r != corevm.ReasonGuestShutdown {
		t.Errorf("reason %q, want %q", r, corevm.ReasonGuestShutdown)
	}

	s.order(id, corevm.Terminate)
	s.phase(id, corevm.Terminated)
	if after := strip(s.state()); after != strip(before) {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// strip takes out what differs without anything being left: numbers of
// interfaces, counters, and the empty table that waits for the next tap.
func strip(state string) string {
	state = strings.ReplaceAll(state, "table netdev hippius_tr {\n}\n", "")
	lines := strings.Split(state, "\n")
	for i, l := range lines {
		if n, rest, ok := strings.Cut(l, ": "); ok {
			if _, err := strconv.Atoi(n); err == nil {
				l = rest
			}
		}
		if head, tail, ok := strings.Cut(l, "packets "); ok {
			_, tail, _ = strings.Cut(tail, "bytes ")
			_, tail, _ = strings.Cut(tail, " ")
			l = head + tail
		}
		lines[i] = l
	}
	return strings.Join(lines, "\n")
}
