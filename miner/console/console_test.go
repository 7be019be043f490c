package console_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	"github.com/hippius/compute/api/node/grants"
	minerv1 "github.com/hippius/compute/api/node/miner/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/peer"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/miner/console"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/fake"
)

const (
	chainID = "hippius-test"
	vmID    = "00112233445566778899aabbccddeeff"
)

type bench struct {
	t        *testing.T
	driver   *fake.Driver
	owner    *wallet.Wallet
	identity ed25519.PublicKey
	key      ed25519.PrivateKey // the caller's
	client   minerv1.MinerClient
	others   map[vm.ID]*wallet.Wallet // owners of further VMs
}

func newKey(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pub, key
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchOn(t, func(d *fake.Driver) hypervisor.Console { return d })
}

// newBenchOn has the service see the driver as seen says.
func newBenchOn(t *testing.T, seen func(*fake.Driver) hypervisor.Console) *bench {
	t.Helper()
	driver, err := fake.New(fake.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	m := hypervisor.Definition{
		ID: vmID, InstanceSeq: 1, VCPUs: 1, MemoryMiB: 64, DiskBytes: 1 << 20, BaseImage: "/x", BaseFormat: "raw",
		DiskKey: make([]byte, hypervisor.DiskKeyBytes),
	}
	for _, err := range []error{
		driver.Define(t.Context(), m), driver.CreateDisk(t.Context(), m.Root()), driver.Start(t.Context(), vmID, m.DiskKey),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	owner, err := wallet.FromKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, driver: driver, owner: owner, others: map[vm.ID]*wallet.Wallet{}}
	var serverKey ed25519.PrivateKey
	b.identity, serverKey = newKey(t)
	_, b.key = newKey(t)
	server := peer.NewServer(serverKey)
	minerv1.RegisterMinerServer(server, console.New(console.Config{
		ChainID: chainID, Identity: b.identity, Driver: seen(driver),
		Owner: func(id vm.ID) (string, bool, error) {
			if w := b.others[id]; w != nil {
				return w.Address(), true, nil
			}
			return owner.Address(), id == vmID, nil
		},
	}))
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	conn, err := peer.NewClient(l.Addr().String(), b.key, b.identity)
	if err != nil {
		t.Fatal(err)
	}
	b.client = minerv1.NewMinerClient(conn)
	t.Cleanup(func() {
		_ = conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Close(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) grant(change func(g *grant.Grant)) *grantv1.Grant {
	b.t.Helper()
	pub, ok := b.key.Public().(ed25519.PublicKey)
	if !ok {
		b.t.Fatal("not an ed25519 key")
	}
	g := grant.Grant{
		Purpose: grant.Console, ChainID: chainID, VMID: vmID, Audience: b.identity, ClientKey: pub,
		ExpiresAt: time.Now().Add(time.Minute).Unix(),
	}
	change(&g)
	signed, err := grants.Sign(b.owner, g)
	if err != nil {
		b.t.Fatal(err)
	}
	return signed
}

func same(*grant.Grant) {}

func (b *bench) open(ctx context.Context, id string, g *grantv1.Grant) minerv1.Miner_ConsoleClient {
	b.t.Helper()
	s, err := b.client.Console(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	err = s.Send(&minerv1.ConsoleRequest{Message: &minerv1.ConsoleRequest_Open{Open: &minerv1.ConsoleOpen{Grant: g, VmId: id}}})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// hear reads until the output holds what is wanted.
func hear(t *testing.T, s minerv1.Miner_ConsoleClient, want string) {
	t.Helper()
	var all strings.Builder
	for !strings.Contains(all.String(), want) {
		m, err := s.Recv()
		if err != nil {
			t.Fatalf("heard %q, then %v; want %q", all.String(), err, want)
		}
		all.Write(m.GetOutput())
	}
}

func (b *bench) untilBooted() {
	b.t.Helper()
	for range 500 {
		log, err := b.driver.ConsoleLog(b.t.Context(), vmID)
		if err == nil && bytes.Contains(log, []byte("BOOT")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatal("the VM does not boot")
}

func TestConsole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.untilBooted()
	ctx, cancel := context.WithCancel(t.Context())
	s := b.open(ctx, vmID, b.grant(same))
	hear(t, s, "HIPPIUS BOOT 0001")
	if err := s.Send(&minerv1.ConsoleRequest{Message: &minerv1.ConsoleRequest_Input{Input: []byte("hello")}}); err != nil {
		t.Fatal(err)
	}
	hear(t, s, "hello") // the guest echoes

	second := b.open(t.Context(), vmID, b.grant(same))
	if _, err := second.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a second one got %v, want ResourceExhausted", err)
	}
	cancel() // who goes without a word leaves the console free
	for range 200 {
		again := b.open(t.Context(), vmID, b.grant(same))
		if _, err := again.Recv(); err == nil {
			if err := again.CloseSend(); err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = again.Recv()
			}
			if !strings.Contains(err.Error(), "EOF") {
				t.Errorf("a clean end gave %v", err)
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the console was not given back")
}

func TestConsoleRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stranger, err := wallet.FromKey(bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	other, _ := newKey(t)
	for name, c := range map[string]struct {
		id    string
		grant *grantv1.Grant
		want  codes.Code
	}{
		"no grant":         {vmID, nil, codes.PermissionDenied},
		"another purpose":  {vmID, b.grant(func(g *grant.Grant) { g.Purpose = grant.Deal }), codes.PermissionDenied},
		"another chain":    {vmID, b.grant(func(g *grant.Grant) { g.ChainID = "x" }), codes.PermissionDenied},
		"another VM":       {vmID, b.grant(func(g *grant.Grant) { g.VMID = vm.ID(strings.Repeat("0", 32)) }), codes.PermissionDenied},
		"another miner":    {vmID, b.grant(func(g *grant.Grant) { g.Audience = other }), codes.PermissionDenied},
		"another client":   {vmID, b.grant(func(g *grant.Grant) { g.ClientKey = other }), codes.PermissionDenied},
		"expired":          {vmID, b.grant(func(g *grant.Grant) { g.ExpiresAt = time.Now().Unix() - 1 }), codes.PermissionDenied},
		"too long a grant": {vmID, b.grant(func(g *grant.Grant) { g.ExpiresAt = time.Now().Unix() + 9999 }), codes.PermissionDenied},
		"no VM id":         {"../x", b.grant(same), codes.InvalidArgument},
		"VM not here":      {strings.Repeat("1", 32), b.grant(func(g *grant.Grant) { g.VMID = vm.ID(strings.Repeat("1", 32)) }), codes.PermissionDenied},
	} {
		if _, err := b.open(t.Context(), c.id, c.grant).Recv(); status.Code(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		logs, err := b.client.Logs(t.Context(), &minerv1.LogsRequest{Grant: c.grant, VmId: c.id})
		if err == nil {
			_, err = logs.Recv()
		}
		if status.Code(err) != c.want {
			t.Errorf("logs, %s: %v, want %s", name, err, c.want)
		}
	}
	good := b.grant(same)
	b.owner = stranger
	if _, err := b.open(t.Context(), vmID, b.grant(same)).Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another account: %v", err)
	}
	s, err := b.client.Console(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&minerv1.ConsoleRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no opening: %v", err)
	}
	b.untilBooted()
	s = b.open(t.Context(), vmID, good)
	hear(t, s, "BOOT")
	if err := s.Send(&minerv1.ConsoleRequest{Message: &minerv1.ConsoleRequest_Input{Input: make([]byte, 5000)}}); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("too much at once: %v", err)
	}
}

func TestConsoleEndsWithTheGrant(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.untilBooted()
	s := b.open(t.Context(), vmID, b.grant(func(g *grant.Grant) { g.ExpiresAt = time.Now().Unix() + 2 }))
	var err error
	for err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
}

func TestConsoleOfAStoppedVM(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.untilBooted()
	s := b.open(t.Context(), vmID, b.grant(same))
	hear(t, s, "BOOT")
	if err := b.driver.PowerOff(vmID); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.Unknown && !strings.Contains(err.Error(), io.EOF.Error()) {
		t.Errorf("the VM stopped: %v, want a clean end", err)
	}
	if _, err := b.open(t.Context(), vmID, b.grant(same)).Recv(); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("stopped VM: %v, want FailedPrecondition", err)
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.untilBooted()
	logs, err := b.client.Logs(t.Context(), &minerv1.LogsRequest{Grant: b.grant(same), VmId: vmID})
	if err != nil {
		t.Fatal(err)
	}
	m, err := logs.Recv()
	if err != nil || !bytes.Contains(m.GetOutput(), []byte("BOOT 0001")) {
		t.Errorf("log %q, %v", m.GetOutput(), err)
	}
	if _, err := logs.Recv(); err == nil {
		t.Error("a log that is not followed does not end")
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logs, err = b.client.Logs(ctx, &minerv1.LogsRequest{Grant: b.grant(same), VmId: vmID, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := logs.Recv(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.driver.Reboot(t.Context(), vmID, time.Minute); err != nil {
		t.Fatal(err)
	}
	m, err = logs.Recv()
	if err != nil || !bytes.Contains(m.GetOutput(), []byte("BOOT 0002")) || bytes.Contains(m.GetOutput(), []byte("BOOT 0001")) {
		t.Errorf("then %q, %v; want only what is new", m.GetOutput(), err)
	}
}
