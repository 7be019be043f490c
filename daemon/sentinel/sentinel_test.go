package sentinel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	creditsv1 "github.com/hippius/compute/api/chain/credits/v1"
	marketplacev1 "github.com/hippius/compute/api/chain/marketplace/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/internal/config"
	"github.com/hippius/compute/internal/peer"
)

// The services of a chain node that a keeper asks, over one small state.
type (
	chainNode struct {
		mu      sync.Mutex
		balance uint64
		asked   int
	}
	computeQueries struct {
		computev1.UnimplementedQueryServer
		*chainNode
	}
	creditQueries struct {
		creditsv1.UnimplementedQueryServer
		*chainNode
	}
	marketQueries struct {
		marketplacev1.UnimplementedQueryServer
		*chainNode
	}
	registryQueries struct {
		registryv1.UnimplementedQueryServer
	}
	meshQueries struct {
		meshv1.UnimplementedQueryServer
	}
)

func (computeQueries) Head(context.Context, *computev1.QueryHeadRequest) (*computev1.QueryHeadResponse, error) {
	return &computev1.QueryHeadResponse{Head: &computev1.Head{Height: 5, Hash: make([]byte, 32), Time: time.Now().Unix()}}, nil
}

func (computeQueries) VM(_ context.Context, r *computev1.QueryVMRequest) (*computev1.QueryVMResponse, error) {
	return nil, status.Errorf(codes.NotFound, "no VM %s", r.GetId())
}

func (computeQueries) Params(context.Context, *computev1.QueryParamsRequest) (*computev1.QueryParamsResponse, error) {
	return &computev1.QueryParamsResponse{}, nil
}

func (q creditQueries) Balance(context.Context, *creditsv1.QueryBalanceRequest) (*creditsv1.QueryBalanceResponse, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return &creditsv1.QueryBalanceResponse{Balance: &creditsv1.Balance{Ucredit: q.balance, FeesSincePurchase: 10}}, nil
}

func (creditQueries) Params(context.Context, *creditsv1.QueryParamsRequest) (*creditsv1.QueryParamsResponse, error) {
	return &creditsv1.QueryParamsResponse{Params: &creditsv1.Params{UhipPerCredit: 1}}, nil
}

func (q marketQueries) Params(context.Context, *marketplacev1.QueryParamsRequest) (*marketplacev1.QueryParamsResponse, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked++
	return &marketplacev1.QueryParamsResponse{Params: &marketplacev1.Params{
		VcpuHourUcredit: 4000, MemoryGibHourUcredit: 2000, DiskGibHourUcredit: 50, MinCreateUcredit: 100,
	}}, nil
}

func (registryQueries) Params(context.Context, *registryv1.QueryParamsRequest) (*registryv1.QueryParamsResponse, error) {
	return &registryv1.QueryParamsResponse{}, nil
}

func (meshQueries) Params(context.Context, *meshv1.QueryParamsRequest) (*meshv1.QueryParamsResponse, error) {
	return &meshv1.QueryParamsResponse{}, nil
}

// serve offers the node on loopback and gives a network of it.
func serve(t *testing.T, n *chainNode) client.Network {
	t.Helper()
	s := grpc.NewServer()
	computev1.RegisterQueryServer(s, computeQueries{chainNode: n})
	creditsv1.RegisterQueryServer(s, creditQueries{chainNode: n})
	marketplacev1.RegisterQueryServer(s, marketQueries{chainNode: n})
	registryv1.RegisterQueryServer(s, registryQueries{})
	meshv1.RegisterQueryServer(s, meshQueries{})
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's listener
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); require.NoError(t, <-done) })
	return client.Network{ChainID: "test-1", GRPC: []client.Endpoint{{Address: l.Addr().String(), Plain: true}}}
}

func TestView(t *testing.T) {
	n := &chainNode{balance: 90}
	c, err := client.New(client.Config{Network: serve(t, n)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	v := newView(c, time.Now)
	require.ErrorContains(t, v.ready(), "no chain node answers")
	_, err = v.Time(t.Context())
	require.NoError(t, err)
	require.NoError(t, v.ready())

	vms, err := v.MayCreate(t.Context(), "o")
	require.NoError(t, err)
	require.Equal(t, 1, vms, "90 and the 10 paid in fees are the 100 asked for")
	n.mu.Lock()
	n.balance = 89
	n.mu.Unlock()
	vms, err = v.MayCreate(t.Context(), "o")
	require.NoError(t, err)
	require.Zero(t, vms)
	n.mu.Lock()
	n.balance = 319
	n.mu.Unlock()
	vms, err = v.MayCreate(t.Context(), "o")
	require.NoError(t, err)
	require.Equal(t, 3, vms, "100 for each")
	require.Equal(t, 1, n.asked, "the minimum is remembered")

	_, found, err := v.VM(t.Context(), "x")
	require.NoError(t, err)
	require.False(t, found)
	_, found, err = v.CommitteeOf(t.Context(), 0)
	require.NoError(t, err)
	require.False(t, found, "epochs begin with 1")
}

// lines is a log to be searched while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) find(pattern string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := regexp.MustCompile(pattern).FindStringSubmatch(l.buf.String()); m != nil {
		return m[1]
	}
	return ""
}

func TestRun(t *testing.T) {
	network, err := serve(t, &chainNode{}).Encode()
	require.NoError(t, err)
	dir := t.TempDir()
	profile := filepath.Join(dir, "network.json")
	require.NoError(t, os.WriteFile(profile, network, 0o600))
	c := Default()
	c.Network, c.Data = profile, filepath.Join(dir, "data")
	c.Listen, c.Observe = netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("127.0.0.1:0")
	for range 2 { // the second start finds what the first left
		log := &lines{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Run(ctx, c, slog.New(slog.NewTextHandler(log, nil))) }()
		addr := ""
		require.Eventually(t, func() bool { addr = log.find(`keeper listens" addr=(\S+)`); return addr != "" }, 30*time.Second, 10*time.Millisecond)

		identity, err := peer.LoadOrCreateKey(filepath.Join(c.Data, IdentityFile))
		require.NoError(t, err)
		_, stranger, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		conn, err := peer.NewClient(addr, stranger, ed25519.PublicKey(identity[ed25519.SeedSize:]))
		require.NoError(t, err)
		_, err = keeperv1.NewKeeperClient(conn).Release(t.Context(), &keeperv1.ReleaseRequest{VmId: strings.Repeat("0", 32), Seq: 1})
		require.Equal(t, codes.NotFound, status.Code(err), "%v", err)
		require.NoError(t, conn.Close())

		health := log.find(`observer listens" addr=(\S+)`)
		require.Eventually(t, func() bool { return get(t, health, "/readyz") == "ok\n" }, 30*time.Second, 10*time.Millisecond)
		require.Contains(t, get(t, health, "/metrics"), "hippius_keeper_vms 0")
		cancel()
		require.NoError(t, <-done)
	}
	for _, name := range []string{IdentityFile, SealingFile, DatabaseFile} {
		info, err := os.Stat(filepath.Join(c.Data, name))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}
}

func get(t *testing.T, addr, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(body)
}

func TestConfig(t *testing.T) {
	good := func() Config {
		c := Default()
		c.Network = "network.json"
		return c
	}
	c := good()
	require.NoError(t, c.Validate())
	read, err := config.Read(strings.NewReader("network: network.json\nsweep_every: 30s\n"), Default())
	require.NoError(t, err)
	require.Equal(t, 30*time.Second, read.SweepEvery)
	require.Equal(t, c.Listen, read.Listen)
	_, err = config.Read(strings.NewReader("network: network.json\nswep_every: 30s\n"), Default())
	require.ErrorContains(t, err, "swep_every")
	for want, change := range map[string]func(*Config){
		"network":           func(c *Config) { c.Network = "" },
		"data":              func(c *Config) { c.Data = "" },
		"name":              func(c *Config) { c.Name = "" },
		"listen":            func(c *Config) { c.Listen = netip.AddrPort{} },
		"observe":           func(c *Config) { c.Observe = netip.AddrPort{} },
		"sweep_every":       func(c *Config) { c.SweepEvery = 0 },
		"wallet and public": func(c *Config) { c.Wallet = "w" },
		"public \"host\"":   func(c *Config) { c.Wallet, c.Public = "w", "host" },
		"public \"host:0\"": func(c *Config) { c.Wallet, c.Public = "w", "host:0" },
	} {
		c := good()
		change(&c)
		require.ErrorContains(t, c.Validate(), want)
	}
	require.ErrorContains(t, Run(t.Context(), Config{}, slog.New(slog.DiscardHandler)), "settings: network", fmt.Sprint(Config{}))
}
