package admit_test

import (
	"bytes"
	"crypto/ed25519"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
)

var (
	now   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	v4    = netip.MustParsePrefix("100.64.1.64/26")
	v6    = netip.MustParsePrefix("fd12:3456:789a::/48")
	both  = []netip.Prefix{v4, v6}
	light = netip.MustParseAddr("100.127.3.4")
)

func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func good() cert.Template {
	return cert.Template{
		Name: "tenant", Networks: both, UnsafeNetworks: both,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
}

func signed(t testing.TB, edit func(*cert.Template)) []byte {
	t.Helper()
	tmpl := good()
	edit(&tmpl)
	c, err := cert.SignAuthority(tmpl, key(1))
	require.NoError(t, err)
	return c.Raw()
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return b
}

// blocks are as many tenants' networks.
func blocks(n int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		out[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 70, byte(i), 0}), 26)
	}
	return out
}

func TestTenant(t *testing.T) {
	wide := netip.MustParsePrefix("100.64.0.0/10")
	other := netip.MustParsePrefix("100.64.1.128/26")
	authority, err := cert.Parse(signed(t, func(*cert.Template) {}))
	require.NoError(t, err)
	public, _, err := cert.NewHostKey()
	require.NoError(t, err)
	host, err := cert.SignHost(cert.Template{
		Name: "host", Networks: []netip.Prefix{netip.PrefixFrom(v4.Addr().Next(), 26)},
		NotBefore: now, NotAfter: now.Add(time.Hour), PublicKey: public,
	}, authority, key(1))
	require.NoError(t, err)
	forged := authority.Raw()
	forged[len(forged)-1] ^= 1 // the signature's last byte

	for name, c := range map[string]struct {
		certificate []byte
		allocated   []netip.Prefix
		want        error
		reason      string
	}{
		"equal":            {signed(t, func(*cert.Template) {}), both, nil, ""},
		"in another order": {signed(t, func(*cert.Template) {}), []netip.Prefix{v6, v4}, nil, ""},
		"pem":              {authority.PEM(), both, nil, ""},
		"one family": {signed(t, func(c *cert.Template) {
			c.Networks, c.UnsafeNetworks = both[:1], both[:1]
		}), both[:1], nil, ""},
		"with groups": {signed(t, func(c *cert.Template) { c.Groups = []string{"vm", "device"} }), both, nil, ""},

		"another's block": {signed(t, func(c *cert.Template) {
			c.Networks = []netip.Prefix{other, v6}
		}), both, admit.ErrNetworks, "networks"},
		"wider": {signed(t, func(c *cert.Template) {
			c.Networks = []netip.Prefix{wide, v6}
		}), both, admit.ErrNetworks, "networks"},
		"more": {signed(t, func(c *cert.Template) {
			c.Networks = []netip.Prefix{v4, other, v6}
		}), both, admit.ErrNetworks, "networks"},
		"less": {signed(t, func(c *cert.Template) {
			c.Networks = both[:1]
		}), both, admit.ErrNetworks, "networks"},
		"not masked": {signed(t, func(c *cert.Template) {
			c.Networks = []netip.Prefix{netip.PrefixFrom(v4.Addr().Next(), 26), v6}
		}), both, admit.ErrNetworks, "networks"},
		"unconstrained": {signed(t, func(c *cert.Template) { c.Networks = nil }), both, admit.ErrUnconstrained, "unconstrained"},
		"forwards for any": {signed(t, func(c *cert.Template) {
			c.UnsafeNetworks = nil
		}), both, admit.ErrForwarding, "forwarding"},
		"forwards for another": {signed(t, func(c *cert.Template) {
			c.UnsafeNetworks = []netip.Prefix{other}
		}), both, admit.ErrForwarding, "forwarding"},
		"a lighthouse's group": {signed(t, func(c *cert.Template) {
			c.Groups = []string{"vm", admit.LighthouseGroup}
		}), both, admit.ErrGroups, "groups"},
		"expired":        {signed(t, func(c *cert.Template) { c.NotAfter = now.Add(-time.Second) }), both, cert.ErrExpired, "expired"},
		"early":          {signed(t, func(c *cert.Template) { c.NotBefore = now.Add(time.Second) }), both, cert.ErrNotYetValid, "not_yet_valid"},
		"a host":         {host.Raw(), both, admit.ErrNotCA, "not_ca"},
		"forged":         {forged, both, admit.ErrSignature, "signature"},
		"large":          {make([]byte, 1025), both, admit.ErrTooLarge, "too_large"},
		"another curve":  {file(t, "p256.pem"), both, admit.ErrCurve, "curve"},
		"an old version": {file(t, "version1.pem"), both, admit.ErrVersion, "version"},
		"sixty networks": {signed(t, func(c *cert.Template) { c.Networks, c.UnsafeNetworks = blocks(60), both }), both, admit.ErrNetworks, "networks"},
		"rubbish":        {[]byte("rubbish"), both, admit.ErrMalformed, "malformed"},
		"empty":          {nil, both, admit.ErrMalformed, "malformed"},

		"no allocation":       {authority.Raw(), nil, admit.ErrAllocation, "allocation"},
		"strange allocation":  {authority.Raw(), []netip.Prefix{wide}, admit.ErrAllocation, "allocation"},
		"lighthouses' space":  {authority.Raw(), []netip.Prefix{netip.MustParsePrefix("100.127.0.0/26")}, admit.ErrAllocation, "allocation"},
		"two of a family":     {authority.Raw(), []netip.Prefix{v4, other}, admit.ErrAllocation, "allocation"},
		"invalid allocation":  {authority.Raw(), []netip.Prefix{{}}, admit.ErrAllocation, "allocation"},
		"unmasked allocation": {authority.Raw(), []netip.Prefix{netip.PrefixFrom(v4.Addr().Next(), 26)}, admit.ErrAllocation, "allocation"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := admit.Tenant(c.certificate, admit.Allocation{Networks: c.allocated}, now)
			require.Equal(t, c.reason, admit.Reason(err))
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
				require.Nil(t, got)
				return
			}
			require.NoError(t, err)
			require.True(t, got.IsCA())
		})
	}
}

func TestLighthouse(t *testing.T) {
	only := []netip.Prefix{netip.PrefixFrom(light, 32)}
	operator := func(edit func(*cert.Template)) []byte {
		return signed(t, func(c *cert.Template) {
			c.Networks, c.UnsafeNetworks, c.Groups = only, only, []string{admit.LighthouseGroup}
			edit(c)
		})
	}
	for name, c := range map[string]struct {
		certificate []byte
		addr        netip.Addr
		want        error
	}{
		"pinned":          {operator(func(*cert.Template) {}), light, nil},
		"another address": {operator(func(*cert.Template) {}), light.Next(), admit.ErrNetworks},
		"two addresses": {operator(func(c *cert.Template) {
			c.Networks = append([]netip.Prefix{netip.PrefixFrom(light.Next(), 32)}, only...)
		}), light, admit.ErrNetworks},
		"a tenant's network as well": {operator(func(c *cert.Template) {
			c.Networks = append([]netip.Prefix{v4}, only...)
		}), light, admit.ErrNetworks},
		"wider":                 {operator(func(c *cert.Template) { c.Networks = []netip.Prefix{netip.PrefixFrom(light, 31)} }), light, admit.ErrNetworks},
		"anything":              {operator(func(c *cert.Template) { c.Networks = nil }), light, admit.ErrUnconstrained},
		"forwards for any":      {operator(func(c *cert.Template) { c.UnsafeNetworks = nil }), light, admit.ErrForwarding},
		"forwards for a tenant": {operator(func(c *cert.Template) { c.UnsafeNetworks = both }), light, admit.ErrForwarding},
		"no group":              {operator(func(c *cert.Template) { c.Groups = nil }), light, admit.ErrGroups},
		"members' groups":       {operator(func(c *cert.Template) { c.Groups = append(c.Groups, "vm") }), light, admit.ErrGroups},
		"outside the space":     {operator(func(*cert.Template) {}), netip.MustParseAddr("100.64.0.1"), admit.ErrAllocation},
		"no address":            {operator(func(*cert.Template) {}), netip.Addr{}, admit.ErrAllocation},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := admit.Lighthouse(c.certificate, c.addr, now)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
				return
			}
			require.NoError(t, err)
		})
	}
}

// Whatever is admitted can sign nothing outside its allocation.
func FuzzTenant(f *testing.F) {
	f.Add(signed(f, func(*cert.Template) {}))
	f.Add(signed(f, func(c *cert.Template) { c.Networks = nil }))
	f.Add(signed(f, func(c *cert.Template) { c.UnsafeNetworks = nil }))
	a, err := ca.NewTenant(bytes.Repeat([]byte{1}, ca.SeedSize), both, "t", now.Add(-time.Hour), now.Add(time.Hour))
	require.NoError(f, err)
	f.Add(a.Certificate().PEM())
	f.Add(file(f, "p256.pem"))
	f.Add(file(f, "version1.pem"))
	f.Add([]byte("-----BEGIN NEBULA CERTIFICATE V2-----\n-----END NEBULA CERTIFICATE V2-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, allocated := range [][]netip.Prefix{both, both[:1]} {
			c, err := admit.Tenant(b, admit.Allocation{Networks: allocated}, now)
			if err != nil {
				if admit.Reason(err) == "other" {
					t.Fatalf("an error without a reason: %v", err)
				}
				continue
			}
			if !c.IsCA() || !c.SelfSigned() || len(c.Raw()) > 1024 || c.CheckTime(now) != nil {
				t.Fatalf("admitted %q", c.Name())
			}
			for _, n := range append(c.Networks(), c.UnsafeNetworks()...) {
				if n != v4 && n != v6 {
					t.Fatalf("admitted for %s", n)
				}
			}
			again, err := cert.Parse(c.PEM())
			if err != nil || again.Fingerprint() != c.Fingerprint() {
				t.Fatalf("does not survive its own encoding: %v", err)
			}
		}
		if _, err := admit.Lighthouse(b, light, now); err == nil {
			t.Fatal("admitted a tenant's as a lighthouse's")
		}
	})
}
