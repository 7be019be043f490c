package nebula_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
)

// Lighthouses come off the chain, where anybody puts them: what is let through must be able to say nothing but its own address.
func FuzzLighthouses(f *testing.F) {
	op, alice, now := operator(f), tenant(f, 1), time.Now()
	f.Add([]byte{100, 127, 0, 1}, op.bytes(), []byte{127, 0, 0, 1}, uint16(4242))
	f.Add([]byte{100, 64, 0, 66}, alice.bytes(), []byte{192, 0, 2, 1}, uint16(0))
	f.Add([]byte{100, 127, 0, 2}, op.Certificate().PEM(), []byte{0, 0, 0, 0}, uint16(1))
	good := admit.Candidate{Addr: op.block.Addr(), Endpoints: []string{"192.0.2.1:4242"}, CA: op.bytes()}
	f.Fuzz(func(t *testing.T, addr, authority, at []byte, port uint16) {
		a, _ := netip.AddrFromSlice(addr)
		u, _ := netip.AddrFromSlice(at)
		c := admit.Candidate{Addr: a, CA: authority, Endpoints: []string{netip.AddrPortFrom(u, port).String()}}
		admitted, refused := admit.Lighthouses([]admit.Candidate{good, c}, now)
		usable, unusable := nebula.Lighthouses(admitted)
		if len(usable)+len(refused)+len(unusable) != 2 || usable[0].Addr != good.Addr {
			t.Fatalf("%d usable, %d and %d refused", len(usable), len(refused), len(unusable))
		}
		for _, l := range usable {
			c, err := cert.Parse(l.CA)
			if err != nil || !c.SelfSigned() || c.CheckPinned(l.Addr) != nil || len(l.Underlay) != 1 || l.Underlay[0].Port() == 0 {
				t.Fatalf("let through %+v", l)
			}
		}
	})
}
