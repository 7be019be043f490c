package nebula_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
	"github.com/hippius/compute/mesh/nebula/netstack"
)

// logger shows the node's log with HIPT_LOG=1.
func logger(t testing.TB, who string) *slog.Logger {
	t.Helper()
	w := io.Discard
	if os.Getenv("HIPT_LOG") != "" {
		w = os.Stderr
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})).With("program", who)
}

func seed(n byte) []byte { return bytes.Repeat([]byte{n}, ca.SeedSize) }

// party is a tenant or a lighthouse operator.
type party struct {
	*ca.Authority
	block netip.Prefix
}

func (p *party) bytes() []byte { return p.Certificate().Raw() }

// tenant number n owns 100.64.0.n*64/26 and a /48.
func tenant(t testing.TB, n byte) *party {
	t.Helper()
	block := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, n * 64}), 26)
	ula := netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, n, 1}), 48)
	now := time.Now()
	a, err := ca.NewTenant(seed(n), []netip.Prefix{block, ula}, "tenant", now.Add(-ca.Backdate), now.Add(ca.DefaultLifetime))
	require.NoError(t, err)
	return &party{Authority: a, block: block}
}

// operator owns 100.127.0.1.
func operator(t testing.TB) *party {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{100, 127, 0, 1})
	now := time.Now()
	a, err := ca.NewLighthouse(seed(101), addr, "lighthouse", now.Add(-ca.Backdate), now.Add(ca.DefaultLifetime))
	require.NoError(t, err)
	return &party{Authority: a, block: netip.PrefixFrom(addr, 32)}
}

// addr is the host'th address of the party's block.
func (p *party) addr(host byte) netip.Addr {
	b := p.block.Addr().As4()
	b[3] += host
	return netip.AddrFrom4(b)
}

// member gives certificates and nothing else: the rest is the test's.
func (p *party) member(t testing.TB, host byte, groups ...string) nebula.Config {
	t.Helper()
	return p.memberAt(t, p.addr(host), groups...)
}

func (p *party) memberAt(t testing.TB, addr netip.Addr, groups ...string) nebula.Config {
	t.Helper()
	public, private, err := cert.NewHostKey()
	require.NoError(t, err)
	c, err := p.Issue(ca.Host{
		Name: "host-" + addr.String(), Groups: groups, Addr: addr, PublicKey: public, Validity: 24 * time.Hour,
	}, time.Now())
	require.NoError(t, err)
	return nebula.Config{
		Mode: nebula.ModeUserspace, Stack: netstack.New, CAs: [][]byte{p.bytes()}, Cert: c.Raw(), Key: private,
		Firewall: nebula.AllowAll(),
	}
}

// lighthouseConfig trusts the given tenants and listens at addr, port 0.
func (p *party) lighthouseConfig(t testing.TB, at netip.Addr, tenants ...*party) nebula.Config {
	t.Helper()
	c := p.memberAt(t, p.block.Addr())
	c.Mode, c.Stack, c.Firewall = nebula.ModeNone, nil, nebula.Firewall{}
	c.AmLighthouse, c.AmRelay = true, true
	c.SelfCA, c.CAs = c.CAs[0], nil
	for _, tn := range tenants {
		c.CAs = append(c.CAs, tn.bytes())
	}
	c.Listen = netip.AddrPortFrom(at, 0)
	return c
}

// as is how members see the lighthouse that runs as n.
func (p *party) as(n *nebula.Node, at netip.Addr) nebula.Lighthouse {
	return nebula.Lighthouse{
		Addr: p.block.Addr(), Underlay: []netip.AddrPort{netip.AddrPortFrom(at, n.ListenPort())},
		CA: p.bytes(), Relay: true,
	}
}

func start(t testing.TB, who string, c nebula.Config) *nebula.Node {
	t.Helper()
	n, err := nebula.Start(context.Background(), c, logger(t, who))
	require.NoError(t, err, who)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close %s: %v", who, err)
		}
	})
	return n
}

func loopback(last byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, last}) }

// onLoopback completes a member of a network whose parts share the host.
func onLoopback(c nebula.Config, lighthouses ...nebula.Lighthouse) nebula.Config {
	c.Listen = netip.AddrPortFrom(loopback(1), 0)
	c.Lighthouses = lighthouses
	c.UseRelays = true
	return c
}

// relayOnly keeps the member at its own loopback address and lets it talk to
// 127.0.0.1, the lighthouse's, alone.
func relayOnly(c nebula.Config, last byte, lighthouses ...nebula.Lighthouse) nebula.Config {
	c = onLoopback(c, lighthouses...)
	c.Listen = netip.AddrPortFrom(loopback(last), 0)
	c.UnderlayAllow = []netip.Prefix{netip.PrefixFrom(loopback(1), 32)}
	return c
}

// echo serves on port 22 of n until the test ends.
func echo(t testing.TB, n *nebula.Node) {
	t.Helper()
	l, err := n.Listen("tcp", ":22")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
}

func dial(t testing.TB, n *nebula.Node, to netip.Addr, within time.Duration) (net.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return n.DialContext(ctx, "tcp", netip.AddrPortFrom(to, 22).String())
}

// reaches proves that bytes go there and back.
func reaches(t testing.TB, n *nebula.Node, to netip.Addr) net.Conn {
	t.Helper()
	conn, err := dial(t, n, to, 10*time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	pong(t, conn)
	return conn
}

func pong(t testing.TB, conn net.Conn) {
	t.Helper()
	pongWithin(t, conn, 5*time.Second)
}

func pongWithin(t testing.TB, conn net.Conn, within time.Duration) {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(within)))
	_, err := conn.Write([]byte("ping"))
	require.NoError(t, err)
	got := make([]byte, 4)
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, "ping", string(got))
}

// silent proves that nothing comes back any more.
func silent(t testing.TB, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Second)))
	_, _ = conn.Write([]byte("ping"))
	_, err := io.ReadFull(conn, make([]byte, 4))
	require.Error(t, err)
}
