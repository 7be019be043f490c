package agent_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/agent/agenttest"
	"github.com/hippius/compute/miner/forget"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/fake"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/record"
	"github.com/hippius/compute/miner/seed"
	"github.com/hippius/compute/miner/seed/seedtest"
)

// world is everything around an agent; it outlives agents.
type world struct {
	t         *testing.T
	dir       string
	chain     *agenttest.Chain
	catalogue *catalogue
	keepers   *keepers
	network   *network
	mesh      *meshes
	seeds     *seed.Store
	images    *image.Cache
	driver    *fake.Driver
	witness   *witness // of the agent that was started last
	db        *store.DB
	orders    *forget.Orders
	config    agent.Config
	parts     func(p *agent.Parts) // changes what the agent gets
	deafMute  atomic.Bool          // guests without an agent
	boot      time.Duration        // what a guest takes to come up
	stateDir  string               // of the agent's database
	told      chan wire.Mesh       // what guests heard of the mesh
	rogue     func(m hypervisor.Definition) func(context.Context, net.Conn)

	stop func()
}

// testConfig has an agent do in milliseconds what takes seconds.
func testConfig() agent.Config {
	return agent.Config{
		ChainID: agenttest.ChainID, Miner: agenttest.Miner, Poll: 10 * time.Millisecond, ReportEvery: 100 * time.Millisecond,
		Gather: 5 * time.Millisecond, ProofEvery: 20 * time.Millisecond, BootTimeout: 20 * time.Second,
		StopTimeout: 2 * time.Second, GiveUp: 20 * time.Second, MeshEvery: 20 * time.Millisecond,
		TidyEvery: 50 * time.Millisecond, Resync: 200 * time.Millisecond, Retry: 10 * time.Millisecond,
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, dir: testkit.MemoryDir(t), chain: agenttest.New(), keepers: &keepers{}, told: make(chan wire.Mesh, 64),
		network: &network{ports: map[vm.ID]int{}}, mesh: &meshes{},
		config: testConfig(), boot: 20 * time.Millisecond,
		parts: func(*agent.Parts) {},
	}
	w.stateDir = w.dir
	w.catalogue = newCatalogue(t, w.dir)
	var err error
	if w.seeds, err = seed.NewStore(seed.Config{Dir: filepath.Join(w.dir, "seeds"), Group: -1, AnyFilesystem: true}); err != nil {
		t.Fatal(err)
	}
	if w.images, err = image.New(image.Config{Dir: filepath.Join(w.dir, "images"), AllowFile: true, MaxBytes: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	if w.db, err = store.Open(filepath.Join(w.dir, "state.db"), migrations()...); err != nil {
		t.Fatal(err)
	}
	w.orders = forget.New(filepath.Join(w.dir, "forget"))
	w.openDriver()
	ctx, cancel := context.WithCancel(t.Context())
	var blocks sync.WaitGroup
	blocks.Go(func() { w.chain.Run(ctx) })
	t.Cleanup(func() {
		w.stopAgent()
		cancel()
		blocks.Wait()
		w.images.Close()
		if err := errors.Join(w.driver.Close(), w.db.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) openDriver() {
	w.t.Helper()
	d, err := fake.New(fake.Config{Dir: filepath.Join(w.dir, "vms"), Boot: w.boot, Guest: w.guest})
	if err != nil {
		w.t.Fatal(err)
	}
	w.driver = d
}

// guest is the agent inside every VM.
func (w *world) guest(ctx context.Context, m hypervisor.Definition, conn net.Conn) {
	if w.deafMute.Load() {
		<-ctx.Done()
		return
	}
	if w.rogue != nil {
		if act := w.rogue(m); act != nil {
			act(ctx, conn)
			return
		}
	}
	cfg, err := seedtest.Config(m.Seed)
	if err != nil {
		w.t.Errorf("guest of %s: %v", m.ID, err)
		return
	}
	if wire.WriteMessage(conn, wire.ToHost{Hello: &wire.Hello{VMID: string(cfg.VMID), Seq: cfg.Seq}}) != nil {
		return
	}
	in := wire.NewGuestReader(conn)
	for {
		var msg wire.ToGuest
		if in.Next(&msg) != nil {
			return
		}
		if msg.Mesh != nil {
			w.told <- *msg.Mesh
		}
		if c := msg.Challenge; c != nil {
			sig := vm.SignProof(proofKey(cfg.VMID, cfg.Seq), cfg.ChainID, cfg.VMID, cfg.Seq, c.Height, c.Hash)
			if wire.WriteMessage(conn, wire.ToHost{Proof: &wire.Proof{Height: c.Height, Signature: sig}}) != nil {
				return
			}
		}
	}
}

// migrations of a database that was never of the first schema; daemon/miner tests that one.
func migrations() []store.Migration {
	return record.Migrations(func([]byte) (vm.VM, error) { return vm.VM{}, errors.New("not the first schema") })
}

// startAgent starts one on what an earlier one left.
func (w *world) startAgent() {
	w.t.Helper()
	w.witness = newWitness(w.driver)
	p := agent.Parts{
		Chain: w.chain, Catalogue: w.catalogue, Secrets: w.keepers, Images: w.images, Network: w.network,
		Seeds: w.seeds, Mesh: w.mesh, Driver: w.witness, State: record.New(w.db), Orders: w.orders, Log: w.log(),
	}
	w.parts(&p)
	a, err := agent.New(w.config, p)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	w.stop = func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				w.t.Errorf("agent: %v", err)
			}
		case <-time.After(10 * time.Second):
			w.t.Error("the agent does not end")
		}
	}
}

func (w *world) log() *slog.Logger {
	if os.Getenv("AGENT_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (w *world) stopAgent() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

const untilTimeout = time.Minute

// until waits for something to become true.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(untilTimeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.t.Fatalf("not within %s: %s\n%s", untilTimeout, what, w.chain.Account())
}

func (w *world) untilPhase(id vm.ID, p vm.Phase) {
	w.t.Helper()
	w.until("phase "+p.String(), func() bool { return w.chain.Phase(id) == p })
}

func (w *world) order(id vm.ID, ev vm.Event) {
	w.t.Helper()
	if err := w.chain.Order(id, ev); err != nil {
		w.t.Fatal(err)
	}
}

// newVM creates a VM and gives its id.
func (w *world) newVM() vm.ID {
	sum := sha256.Sum256([]byte(w.t.Name() + time.Now().String()))
	id := vm.ID(hex.EncodeToString(sum[:16]))
	var keys []ed25519.PublicKey
	for seq := uint32(1); seq <= 4; seq++ {
		pub, ok := proofKey(id, seq).Public().(ed25519.PublicKey)
		if !ok {
			w.t.Fatal("not an ed25519 key")
		}
		keys = append(keys, pub)
	}
	spec := vm.Spec{Name: "web-1", Plan: "spark", Image: "tiny", On: true}
	w.chain.Create(id, "hip1tenant", spec, []string{"ssh-ed25519 AAAA laptop"}, keys...)
	return id
}

func proofKey(id vm.ID, seq uint32) ed25519.PrivateKey {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", id, seq))
	return ed25519.NewKeyFromSeed(sum[:])
}

func (w *world) inspect(id vm.ID) hypervisor.Info {
	w.t.Helper()
	info, err := w.driver.Inspect(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return info
}

// runs is when the VM is up as far as everyone knows.
func (w *world) runs(id vm.ID) bool {
	return w.chain.Phase(id) == vm.Running && w.inspect(id).State == hypervisor.StateRunning && w.chain.Proven(id) > 0
}

// leftovers names what is here of a VM beside a trashed disk.
func (w *world) leftovers(id vm.ID) (left []string) {
	w.t.Helper()
	if s := w.inspect(id).State; s != hypervisor.StateAbsent {
		left = append(left, "VM "+string(s))
	}
	if has, err := w.driver.HasDisk(w.t.Context(), hypervisor.Root(id)); err != nil || has {
		left = append(left, "disk")
	}
	return append(left, w.runtime(id)...)
}

// runtime names what is here of a VM only while it runs.
func (w *world) runtime(id vm.ID) (left []string) {
	w.t.Helper()
	if w.network.has(id) {
		left = append(left, "tap")
	}
	ids, err := w.seeds.List()
	if err != nil {
		w.t.Fatal(err)
	}
	if slices.Contains(ids, id) {
		left = append(left, "seed")
	}
	return left
}

func (w *world) wantNone(what string, left []string) {
	w.t.Helper()
	if len(left) != 0 {
		w.t.Errorf("%s: left behind %v", what, left)
	}
}

type catalogue struct {
	mu     sync.Mutex
	images []plan.Image
	err    error
}

func newCatalogue(t *testing.T, dir string) *catalogue {
	t.Helper()
	data := bytes.Repeat([]byte("tiny"), 1000)
	path := filepath.Join(dir, "tiny.qcow2")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return &catalogue{images: []plan.Image{{
		Name: "tiny", URLs: []string{"file://" + path}, SHA256: sum[:], SizeBytes: uint64(len(data)), Format: "qcow2",
	}}}
}

func (c *catalogue) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *catalogue) Images(context.Context) ([]plan.Image, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.images), c.err
}

func (c *catalogue) add(im plan.Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.images = append(c.images, im)
}

func (c *catalogue) Apps(context.Context) ([]plan.App, error) {
	return []plan.App{{Name: "docker", Recipe: "packages: [docker.io]\n"}}, nil
}

type keepers struct {
	mu       sync.Mutex
	err      error
	asked    int
	userData []byte
}

func (k *keepers) set(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *keepers) Collect(_ context.Context, id vm.ID, seq uint32) (instance.Bundle, []byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	if k.err != nil {
		return instance.Bundle{}, nil, k.err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "disk %s %d", id, seq))
	return instance.Bundle{
		VMID: id, Seq: seq, ProofKey: proofKey(id, seq).Seed(), DiskKey: sum[:], SSHHostKey: "key", SSHHostCert: "cert",
	}, k.userData, nil
}

type network struct {
	mu    sync.Mutex
	ports map[vm.ID]int
	next  int
	err   error
	// before is called before each VM is attached.
	before func(id vm.ID)
}

func (n *network) Attach(_ context.Context, p provision.Port) (provision.NIC, error) {
	if n.before != nil {
		n.before(p.ID)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return provision.NIC{}, n.err
	}
	if _, ok := n.ports[p.ID]; !ok {
		n.next++
		n.ports[p.ID] = n.next
	}
	at := byte(n.ports[p.ID])
	return provision.NIC{
		Tap: fmt.Sprintf("hip%d", at), MAC: fmt.Sprintf("52:54:00:00:00:%02x", at),
		Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, at, 2}), 30), Gateway: netip.AddrFrom4([4]byte{10, 200, at, 1}),
	}, nil
}

func (n *network) Detach(_ context.Context, id vm.ID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ports, id)
	return nil
}

func (n *network) has(id vm.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.ports[id]
	return ok
}

func (n *network) set(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

type meshes struct {
	mu sync.Mutex
	m  wire.Mesh
}

func (m *meshes) View(context.Context, string) (wire.Mesh, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.m, nil
}

func (m *meshes) set(v wire.Mesh) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m = v
}
