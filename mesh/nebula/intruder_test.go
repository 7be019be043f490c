package nebula_test

import (
	"bytes"
	"crypto/ed25519"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
	"github.com/hippius/compute/mesh/nebula/netstack"
)

// A lighthouse operator that can sign itself an address, or a network to
// forward for, inside a tenant's network could speak there. Two things stand
// against it, each proven alone: such an authority is refused, and where it
// was trusted anyway, every firewall rule is bound to the tenant's own
// authority. The last case takes the binding away and gets in: the attack is
// real.
func TestOperatorCannotEnter(t *testing.T) {
	t.Parallel()
	s := newIntruder(t)
	for name, authority := range map[string]*cert.Certificate{
		"names a member":            s.anywhere,
		"forwards for any network":  s.forwardsForAny,
		"forwards for the tenant's": s.forwardsForTenant,
	} {
		t.Run("refused when it "+name, func(t *testing.T) {
			c := s.victim
			c.Lighthouses = []nebula.Lighthouse{{
				Addr: netip.MustParseAddr("100.127.0.1"), Underlay: []netip.AddrPort{s.at}, CA: authority.Raw(),
			}}
			_, err := nebula.Start(t.Context(), c, slog.New(slog.DiscardHandler))
			require.ErrorIs(t, err, cert.ErrNotPinned)
		})
	}
	t.Run("rules bound to the tenant's authority", func(t *testing.T) {
		require.False(t, s.enters(t, func(map[string]any) {}))
	})
	t.Run("rules bound to none", func(t *testing.T) {
		require.True(t, s.enters(t, func(rule map[string]any) { delete(rule, "ca_sha") }))
	})
}

type intruder struct {
	anywhere, forwardsForAny, forwardsForTenant *cert.Certificate
	victim, evil                                nebula.Config
	at                                          netip.AddrPort
}

func newIntruder(t *testing.T) *intruder {
	t.Helper()
	tenantKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	operatorKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	block := []netip.Prefix{netip.MustParsePrefix("100.64.0.64/26")}
	single := []netip.Prefix{netip.MustParsePrefix("100.127.0.1/32")}

	authority := func(key ed25519.PrivateKey, networks, forwards []netip.Prefix) *cert.Certificate {
		c, err := cert.SignAuthority(cert.Template{
			Name: "authority", Networks: networks, UnsafeNetworks: forwards,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}, key)
		require.NoError(t, err)
		return c
	}
	host := func(by *cert.Certificate, key ed25519.PrivateKey, addr string) (certificate, private []byte) {
		public, private, err := cert.NewHostKey()
		require.NoError(t, err)
		c, err := cert.SignHost(cert.Template{
			Name: addr, Networks: []netip.Prefix{netip.MustParsePrefix(addr)}, PublicKey: public,
			NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Minute),
		}, by, key)
		require.NoError(t, err)
		return c.Raw(), private
	}
	port, err := nebula.FreePort(t.Context(), netip.MustParseAddr("127.0.0.1"))
	require.NoError(t, err)
	s := &intruder{
		anywhere:          authority(operatorKey, nil, nil),
		forwardsForAny:    authority(operatorKey, single, nil),
		forwardsForTenant: authority(operatorKey, single, append(single, block...)),
		at:                netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port),
	}
	tenant := authority(tenantKey, block, block)
	s.victim = nebula.Config{Mode: nebula.ModeUserspace, Stack: netstack.New, CAs: [][]byte{tenant.Raw()}, Firewall: nebula.AllowAll(), Listen: netip.AddrPortFrom(s.at.Addr(), 0)}
	s.victim.Cert, s.victim.Key = host(tenant, tenantKey, "100.64.0.66/26")
	s.evil = nebula.Config{
		Mode: nebula.ModeUserspace, Stack: netstack.New, CAs: [][]byte{tenant.Raw()}, SelfCA: s.anywhere.Raw(),
		Firewall: nebula.AllowAll(), Listen: s.at, AmLighthouse: true,
	}
	s.evil.Cert, s.evil.Key = host(s.anywhere, operatorKey, "100.64.0.70/26")
	return s
}

// enters tells whether the operator gets a connection into the victim, which
// trusts its authority as if nobody had looked at it.
func (s *intruder) enters(t *testing.T, edit func(rule map[string]any)) bool {
	t.Helper()
	evil, err := nebula.Start(t.Context(), s.evil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, evil.Close()) }()

	c := s.victim
	c.Lighthouses = []nebula.Lighthouse{{Addr: netip.MustParseAddr("100.64.0.70"), Underlay: []netip.AddrPort{s.at}}}
	victim, err := nebula.StartTrusting(c, s.anywhere, edit, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, victim.Close()) }()
	listener, err := victim.Listen("tcp", ":22")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	entered := make(chan bool, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_ = conn.Close()
			entered <- true
		}
	}()
	// The intruder may send but, its replies unanswered, not connect: so ask
	// the victim, after the tunnel stands.
	require.Eventually(t, func() bool { _, ok := evil.Peer(netip.MustParseAddr("100.64.0.66")); return ok }, 30*time.Second, time.Millisecond)
	conn, err := dial(t, evil, netip.MustParseAddr("100.64.0.66"), time.Second)
	if err == nil {
		_ = conn.Close()
	}
	select {
	case <-entered:
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}
