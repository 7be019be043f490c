package nebula

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	nebulalib "github.com/slackhq/nebula"
	"github.com/slackhq/nebula/config"
	"github.com/slackhq/nebula/overlay"
	"github.com/stretchr/testify/require"
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
	for name, authority := range map[string]*Certificate{
		"names a member":            s.anywhere,
		"forwards for any network":  s.forwardsForAny,
		"forwards for the tenant's": s.forwardsForTenant,
	} {
		t.Run("refused when it "+name, func(t *testing.T) {
			c := s.victim
			c.Lighthouses = []Lighthouse{{
				Addr: netip.MustParseAddr("100.127.0.1"), Underlay: []netip.AddrPort{s.at}, CA: authority.Raw(),
			}}
			_, err := Start(t.Context(), c, slog.New(slog.DiscardHandler))
			require.ErrorIs(t, err, ErrLighthouseCA)
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
	anywhere, forwardsForAny, forwardsForTenant *Certificate
	victim, evil                                Config
	at                                          netip.AddrPort
}

func newIntruder(t *testing.T) *intruder {
	t.Helper()
	tenantKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	operatorKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	block := []netip.Prefix{netip.MustParsePrefix("100.64.0.64/26")}
	single := []netip.Prefix{netip.MustParsePrefix("100.127.0.1/32")}

	authority := func(key ed25519.PrivateKey, networks, forwards []netip.Prefix) *Certificate {
		c, err := SignAuthority(Template{
			Name: "authority", Networks: networks, UnsafeNetworks: forwards,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}, key)
		require.NoError(t, err)
		return c
	}
	host := func(by *Certificate, key ed25519.PrivateKey, addr string) (cert, private []byte) {
		public, private, err := NewHostKey()
		require.NoError(t, err)
		c, err := SignHost(Template{
			Name: addr, Networks: []netip.Prefix{netip.MustParsePrefix(addr)}, PublicKey: public,
			NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Minute),
		}, by, key)
		require.NoError(t, err)
		return c.Raw(), private
	}
	port, err := freePort(t.Context(), netip.MustParseAddr("127.0.0.1"))
	require.NoError(t, err)
	s := &intruder{
		anywhere:          authority(operatorKey, nil, nil),
		forwardsForAny:    authority(operatorKey, single, nil),
		forwardsForTenant: authority(operatorKey, single, append(single, block...)),
		at:                netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port),
	}
	tenant := authority(tenantKey, block, block)
	s.victim = Config{Mode: ModeUserspace, CAs: [][]byte{tenant.Raw()}, Firewall: AllowAll(), Listen: netip.AddrPortFrom(s.at.Addr(), 0)}
	s.victim.Cert, s.victim.Key = host(tenant, tenantKey, "100.64.0.66/26")
	s.evil = Config{
		Mode: ModeUserspace, CAs: [][]byte{tenant.Raw()}, SelfCA: s.anywhere.Raw(),
		Firewall: AllowAll(), Listen: s.at, AmLighthouse: true,
	}
	s.evil.Cert, s.evil.Key = host(s.anywhere, operatorKey, "100.64.0.70/26")
	return s
}

// enters tells whether the operator gets a connection into the victim, which
// trusts its authority as if nobody had looked at it.
func (s *intruder) enters(t *testing.T, edit func(rule map[string]any)) bool {
	t.Helper()
	evil, err := Start(t.Context(), s.evil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, evil.Close()) }()

	tr, err := load(s.victim, time.Now(), nil)
	require.NoError(t, err)
	tr.trust(s.anywhere, time.Now())
	c := s.victim
	c.Lighthouses = []Lighthouse{{Addr: netip.MustParseAddr("100.64.0.70"), Underlay: []netip.AddrPort{s.at}}}
	settings := c.settings(tr)
	firewall, ok := settings["firewall"].(map[string]any)
	require.True(t, ok)
	rules, ok := firewall["inbound"].([]any)
	require.True(t, ok)
	for _, r := range rules {
		rule, ok := r.(map[string]any)
		require.True(t, ok)
		edit(rule)
	}
	victim := careless(t, settings, tr)
	listener, err := victim.listenTCP(netip.MustParseAddrPort("100.64.0.66:22"))
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
	require.Eventually(t, func() bool { _, ok := evil.Peer(netip.MustParseAddr("100.64.0.66")); return ok }, 5*time.Second, time.Millisecond)
	within, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	conn, err := evil.device.dialTCP(within, netip.MustParseAddrPort("100.64.0.66:22"))
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

// careless starts a node from raw settings, without this package's care.
func careless(t *testing.T, settings map[string]any, tr *trust) *userspace {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	conf := config.NewC(log)
	conf.Settings = settings
	u, err := newUserspace(tr.host.Networks(), DefaultMTU)
	require.NoError(t, err)
	control, err := nebulalib.Main(conf, false, "", log, func(*config.C, *slog.Logger, []netip.Prefix, int) (overlay.Device, error) {
		return u, nil
	})
	require.NoError(t, err)
	require.NoError(t, control.Start())
	t.Cleanup(func() {
		control.Stop()
		require.NoError(t, control.Wait())
		u.destroy()
	})
	return u
}
