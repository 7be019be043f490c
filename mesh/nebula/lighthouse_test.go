package nebula_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/nebula"
)

// One operator that registers nonsense must not keep members from the others.
func TestUsableLighthouses(t *testing.T) {
	t.Parallel()
	at := []string{netip.AddrPortFrom(loopback(1), 4242).String()}
	good := house(t, 0, at...)
	want := nebula.Lighthouse{Addr: good.Addr, CA: good.CA, Relay: true, Underlay: []netip.AddrPort{netip.MustParseAddrPort(at[0])}}
	for name, endpoints := range map[string][]string{
		"nowhere":        nil,
		"nowhere usable": {"0.0.0.0:4242", "192.0.2.1:0", "224.0.0.1:1", "[fe80::1%eth0]:1"},
		"a name":         {"lighthouse.example:4242"},
		"rubbish":        {"rubbish", "", "192.0.2.1"},
	} {
		usable, refused := nebula.Lighthouses([]admit.Admitted{good, house(t, 1, endpoints...)})
		require.Len(t, refused, 1, name)
		require.Equal(t, []nebula.Lighthouse{want}, usable, name)
	}
	many := []string{"0.0.0.0:1"}
	for i := range byte(40) {
		many = append(many, netip.AddrPortFrom(loopback(i+1), 4242).String())
	}
	usable, refused := nebula.Lighthouses([]admit.Admitted{house(t, 0, many...)})
	require.Empty(t, refused)
	require.Len(t, usable[0].Underlay, nebula.MaxUnderlay)
	var crowd []admit.Admitted
	for i := range byte(nebula.MaxLighthouses + 5) {
		crowd = append(crowd, house(t, i, at...))
	}
	usable, refused = nebula.Lighthouses(crowd)
	require.Len(t, usable, nebula.MaxLighthouses)
	require.Len(t, refused, 5)
	start(t, "member of many", onLoopback(tenant(t, 1).member(t, 2), usable...))
}

// house is the n-th of many lighthouses, as it was admitted.
func house(t *testing.T, n byte, endpoints ...string) admit.Admitted {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{100, 127, 1, n})
	a, err := ca.NewLighthouse(seed(n), addr, "one of many", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	require.NoError(t, err)
	return admit.Admitted{Number: 1<<8 + uint32(n), Addr: addr, CA: a.Certificate().PEM(), Endpoints: endpoints, Relay: true}
}
