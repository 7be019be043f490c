package ca_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
)

var (
	now   = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	seed  = bytes.Repeat([]byte{7}, ca.SeedSize)
	block = []netip.Prefix{netip.MustParsePrefix("100.64.1.64/26"), netip.MustParsePrefix("fd12:3456:789a::/48")}
)

func tenant(t *testing.T) *ca.Authority {
	t.Helper()
	a, err := ca.NewTenant(seed, block, "alice", now.Add(-ca.Backdate), now.Add(ca.DefaultLifetime))
	require.NoError(t, err)
	return a
}

func TestTenantIsAdmitted(t *testing.T) {
	a := tenant(t)
	_, err := admit.Tenant(a.Certificate().Raw(), admit.Allocation{Networks: block}, now)
	require.NoError(t, err)
	require.Less(t, len(a.Certificate().Raw()), 320, "bytes on the chain")

	public, err := ca.PublicKey(seed)
	require.NoError(t, err)
	require.Equal(t, a.Certificate().PublicKey(), []byte(public))
	require.NotEqual(t, bytes.Repeat([]byte{7}, 32), []byte(public))

	again := tenant(t)
	require.Equal(t, a.Certificate().Raw(), again.Certificate().Raw(), "the same from the same seed")
	other, err := ca.PublicKey(bytes.Repeat([]byte{8}, ca.SeedSize))
	require.NoError(t, err)
	require.NotEqual(t, public, other)
}

func TestLighthouseIsAdmitted(t *testing.T) {
	addr := netip.MustParseAddr("100.127.0.9")
	a, err := ca.NewLighthouse(seed, addr, "gw-1", now.Add(-ca.Backdate), now.Add(ca.DefaultLifetime))
	require.NoError(t, err)
	_, err = admit.Lighthouse(a.Certificate().Raw(), addr, now)
	require.NoError(t, err)
	require.NoError(t, a.Certificate().CheckPinned(addr))
	public, _, err := cert.NewHostKey()
	require.NoError(t, err)
	host, err := a.Issue(ca.Host{Name: "gw-1", Addr: addr, PublicKey: public, Validity: time.Hour}, now)
	require.NoError(t, err)
	require.Equal(t, []netip.Prefix{netip.PrefixFrom(addr, 32)}, host.Networks())
	_, err = a.Issue(ca.Host{Name: "gw-1", Addr: addr.Next(), PublicKey: public, Validity: time.Hour}, now)
	require.ErrorIs(t, err, ca.ErrAddress)
	_, err = a.Issue(ca.Host{Name: "gw-1", Groups: []string{"vm"}, Addr: addr, PublicKey: public, Validity: time.Hour}, now)
	require.ErrorContains(t, err, "group not present")

	_, err = ca.NewLighthouse(seed, netip.MustParseAddr("100.64.0.1"), "gw", now, now.Add(time.Hour))
	require.ErrorIs(t, err, admit.ErrAllocation)
}

func TestIssue(t *testing.T) {
	a := tenant(t)
	public, private, err := cert.NewHostKey()
	require.NoError(t, err)
	require.Len(t, private, cert.KeySize)
	h := ca.Host{Name: "web-1", Groups: []string{"vm"}, Addr: netip.MustParseAddr("100.64.1.66"), PublicKey: public, Validity: 24 * time.Hour}
	c, err := a.Issue(h, now)
	require.NoError(t, err)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("100.64.1.66/26")}, c.Networks())
	require.Empty(t, c.UnsafeNetworks())
	require.Equal(t, []string{"vm"}, c.Groups())
	require.Equal(t, a.Certificate().Fingerprint(), c.Issuer())
	require.Equal(t, now.Add(-time.Hour).Truncate(time.Second), c.NotBefore())
	require.Equal(t, now.Add(24*time.Hour).Truncate(time.Second), c.NotAfter())
	require.NoError(t, cert.Verify(c, now, a.Certificate()))
	require.NoError(t, cert.Verify(c, now.Add(-59*time.Minute), a.Certificate()), "a clock slow by less than an hour")
	require.ErrorIs(t, cert.Verify(c, now.Add(25*time.Hour), a.Certificate()), cert.ErrExpired)
	require.ErrorIs(t, cert.Verify(c, now), cert.ErrUntrusted)

	t.Run("never beyond the authority", func(t *testing.T) {
		long := h
		long.Validity = 2 * ca.DefaultLifetime
		c, err := a.Issue(long, now.Add(-ca.Backdate+time.Minute))
		require.NoError(t, err)
		require.Equal(t, a.Certificate().NotBefore(), c.NotBefore())
		require.Equal(t, a.Certificate().NotAfter(), c.NotAfter())
		_, err = a.Issue(h, now.Add(ca.DefaultLifetime+time.Hour))
		require.ErrorIs(t, err, cert.ErrExpired)
	})
	t.Run("ipv6", func(t *testing.T) {
		six := h
		six.Addr = netip.MustParseAddr("fd12:3456:789a::2")
		c, err := a.Issue(six, now)
		require.NoError(t, err)
		require.Equal(t, []netip.Prefix{netip.MustParsePrefix("fd12:3456:789a::2/48")}, c.Networks())
	})
	for name, c := range map[string]struct {
		edit func(*ca.Host)
		want error
	}{
		"another's address": {func(h *ca.Host) { h.Addr = netip.MustParseAddr("100.64.1.130") }, ca.ErrAddress},
		"first address":     {func(h *ca.Host) { h.Addr = netip.MustParseAddr("100.64.1.64") }, ca.ErrAddress},
		"last address":      {func(h *ca.Host) { h.Addr = netip.MustParseAddr("100.64.1.127") }, ca.ErrAddress},
		"no address":        {func(h *ca.Host) { h.Addr = netip.Addr{} }, ca.ErrAddress},
		"no name":           {func(h *ca.Host) { h.Name = "" }, ca.ErrName},
		"long name":         {func(h *ca.Host) { h.Name = strings.Repeat("a", 254) }, ca.ErrName},
		"newline":           {func(h *ca.Host) { h.Name = "a\nb" }, ca.ErrName},
		"group":             {func(h *ca.Host) { h.Groups = []string{""} }, ca.ErrGroup},
		"groups":            {func(h *ca.Host) { h.Groups = make([]string, 17) }, ca.ErrGroup},
		"validity":          {func(h *ca.Host) { h.Validity = 0 }, ca.ErrTimes},
	} {
		bad := h
		c.edit(&bad)
		_, err := a.Issue(bad, now)
		require.ErrorIs(t, err, c.want, name)
	}
	noKey := h
	noKey.PublicKey = public[:31]
	_, err = a.Issue(noKey, now)
	require.ErrorContains(t, err, "public key of 31 bytes")
}

func TestOpenAndRenew(t *testing.T) {
	a := tenant(t)
	opened, err := ca.Open(seed, a.Certificate().PEM())
	require.NoError(t, err)
	require.Equal(t, a.Certificate().Fingerprint(), opened.Certificate().Fingerprint())
	_, err = ca.Open(bytes.Repeat([]byte{8}, ca.SeedSize), a.Certificate().Raw())
	require.ErrorIs(t, err, ca.ErrWrongCA)
	_, err = ca.Open(seed[1:], a.Certificate().Raw())
	require.ErrorIs(t, err, ca.ErrSeed)

	require.False(t, opened.NeedsRenewal(now))
	late := now.Add(ca.DefaultLifetime - ca.RenewBefore + time.Hour)
	require.True(t, opened.NeedsRenewal(late))
	renewed, err := opened.Renew(late.Add(-ca.Backdate), late.Add(ca.DefaultLifetime))
	require.NoError(t, err)
	require.False(t, renewed.NeedsRenewal(late))
	require.NotEqual(t, a.Certificate().Fingerprint(), renewed.Certificate().Fingerprint())
	require.Equal(t, a.Certificate().PublicKey(), renewed.Certificate().PublicKey())
	_, err = admit.Tenant(renewed.Certificate().Raw(), admit.Allocation{Networks: block}, late)
	require.NoError(t, err)
}

func TestNewTenantRefuses(t *testing.T) {
	_, err := ca.NewTenant(seed, []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")}, "a", now, now.Add(time.Hour))
	require.ErrorIs(t, err, admit.ErrAllocation)
	_, err = ca.NewTenant(seed[:31], block, "a", now, now.Add(time.Hour))
	require.ErrorIs(t, err, ca.ErrSeed)
	_, err = ca.NewTenant(seed, block, "a", now, now)
	require.ErrorIs(t, err, ca.ErrTimes)
	_, err = ca.NewTenant(seed, block, "", now, now.Add(time.Hour))
	require.ErrorIs(t, err, ca.ErrName)
}
