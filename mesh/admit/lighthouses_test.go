package admit_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
)

// operator is a lighthouse's authority, edited.
func operator(t *testing.T, addr netip.Addr, edit func(*cert.Template)) []byte {
	t.Helper()
	return signed(t, func(c *cert.Template) {
		only := []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}
		c.Networks, c.UnsafeNetworks, c.Groups = only, only, []string{admit.LighthouseGroup}
		edit(c)
	})
}

// Each check of a lighthouse keeps one out that the others let in, and none keeps out the good one beside it.
func TestLighthouses(t *testing.T) {
	same := func(*cert.Template) {}
	good := admit.Candidate{Addr: light.Next(), CA: operator(t, light.Next(), same), Endpoints: []string{"192.0.2.2:4242"}, Relay: true}
	at := func(addr string) func(*admit.Candidate) {
		return func(c *admit.Candidate) {
			c.Addr = netip.MustParseAddr(addr)
			c.CA = operator(t, c.Addr, same)
		}
	}
	authority := func(edit func(*cert.Template)) func(*admit.Candidate) {
		return func(c *admit.Candidate) { c.CA = operator(t, c.Addr, edit) }
	}
	for name, c := range map[string]struct {
		edit func(*admit.Candidate)
		want error
	}{
		"good":                    {func(*admit.Candidate) {}, nil},
		"pem":                     {func(c *admit.Candidate) { c.CA = parsed(t, c.CA).PEM() }, nil},
		"at a name":               {func(c *admit.Candidate) { c.Endpoints = []string{"lighthouse.example:1"} }, nil},
		"no address":              {func(c *admit.Candidate) { c.Addr = netip.Addr{} }, admit.ErrAllocation},
		"a tenant's address":      {at("100.64.0.2"), admit.ErrAllocation},
		"an IPv6 address":         {at("fd68::1"), admit.ErrAllocation},
		"the network's address":   {at("100.127.0.0"), admit.ErrAllocation},
		"the broadcast address":   {at("100.127.255.255"), admit.ErrAllocation},
		"another's address":       {func(c *admit.Candidate) { c.Addr = c.Addr.Prev() }, admit.ErrNetworks},
		"no authority":            {func(c *admit.Candidate) { c.CA = nil }, admit.ErrIncomplete},
		"no endpoints":            {func(c *admit.Candidate) { c.Endpoints = nil }, admit.ErrIncomplete},
		"rubbish":                 {func(c *admit.Candidate) { c.CA = []byte("rubbish") }, admit.ErrMalformed},
		"large":                   {func(c *admit.Candidate) { c.CA = make([]byte, 1025) }, admit.ErrTooLarge},
		"a host's certificate":    {func(c *admit.Candidate) { c.CA = hosts(t, c.Addr) }, admit.ErrNotCA},
		"broken after its making": {func(c *admit.Candidate) { c.CA[len(c.CA)-1] ^= 1 }, admit.ErrSignature},
		"signs for anything":      {authority(func(c *cert.Template) { c.Networks = nil }), admit.ErrUnconstrained},
		"signs for a tenant":      {authority(func(c *cert.Template) { c.Networks = append(both, c.Networks...) }), admit.ErrNetworks},
		"forwards for anything":   {authority(func(c *cert.Template) { c.UnsafeNetworks = nil }), admit.ErrForwarding},
		"forwards for a tenant":   {authority(func(c *cert.Template) { c.UnsafeNetworks = both }), admit.ErrForwarding},
		"a tenant's authority":    {func(c *admit.Candidate) { c.CA = signed(t, same) }, admit.ErrNetworks},
		"without its group":       {authority(func(c *cert.Template) { c.Groups = nil }), admit.ErrGroups},
		"expired":                 {authority(func(c *cert.Template) { c.NotAfter = now.Add(-time.Second) }), cert.ErrExpired},
		"to come":                 {authority(func(c *cert.Template) { c.NotBefore = now.Add(time.Second) }), cert.ErrNotYetValid},
		"the good one again":      {func(c *admit.Candidate) { *c = good }, admit.ErrTwice},
	} {
		t.Run(name, func(t *testing.T) {
			l := admit.Candidate{Addr: light, CA: operator(t, light, same), Endpoints: []string{"192.0.2.1:4242"}}
			c.edit(&l)
			admitted, refused := admit.Lighthouses([]admit.Candidate{good, l}, now)
			require.Equal(t, admit.Admitted{
				Number: 3<<8 + 5, Addr: good.Addr, CA: parsed(t, good.CA).PEM(), Endpoints: good.Endpoints, Relay: true,
			}, admitted[0])
			if c.want == nil {
				require.Empty(t, refused)
				require.Equal(t, l.Endpoints, admitted[1].Endpoints)
				return
			}
			require.Len(t, admitted, 1)
			require.Len(t, refused, 1)
			require.ErrorIs(t, refused[0], c.want)
		})
	}
}

// A tenant's members keep to some of all that were admitted, whatever the order in which they are listed.
func TestKeptTo(t *testing.T) {
	var all, backwards []admit.Admitted
	var numbers []uint32
	for n := uint32(1); n <= 30; n++ {
		addr, err := mesh.LighthouseAddr(n)
		require.NoError(t, err)
		all = append(all, admit.Admitted{Number: n, Addr: addr})
		backwards = append([]admit.Admitted{all[len(all)-1]}, backwards...)
		numbers = append(numbers, n)
	}
	var got []uint32
	for _, l := range admit.KeptTo("hip1tenant", all) {
		addr, err := mesh.LighthouseAddr(l.Number)
		require.NoError(t, err)
		require.Equal(t, addr, l.Addr)
		got = append(got, l.Number)
	}
	require.Equal(t, mesh.LighthousesFor("hip1tenant", numbers), got)
	require.Equal(t, admit.KeptTo("hip1tenant", all), admit.KeptTo("hip1tenant", backwards))
	require.Empty(t, admit.KeptTo("hip1tenant", nil))
}

func parsed(t *testing.T, b []byte) *cert.Certificate {
	t.Helper()
	c, err := cert.Parse(b)
	require.NoError(t, err)
	return c
}

// hosts is the certificate of a lighthouse itself.
func hosts(t *testing.T, addr netip.Addr) []byte {
	t.Helper()
	a, err := ca.NewLighthouse(bytes.Repeat([]byte{1}, ca.SeedSize), addr, "house", now.Add(-time.Hour), now.Add(time.Hour))
	require.NoError(t, err)
	public, _, err := cert.NewHostKey()
	require.NoError(t, err)
	c, err := a.Issue(ca.Host{Name: "house", Addr: addr, PublicKey: public, Validity: time.Hour}, now)
	require.NoError(t, err)
	return c.Raw()
}
