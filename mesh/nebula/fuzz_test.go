package nebula_test

import (
	"net/netip"
	"testing"

	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
)

// Lighthouses come off the chain, where anybody puts them: what is let through must be able to say nothing but its own address.
func FuzzUsable(f *testing.F) {
	op, alice := operator(f), tenant(f, 1)
	f.Add([]byte{100, 127, 0, 1}, op.bytes(), []byte{127, 0, 0, 1}, uint16(4242))
	f.Add([]byte{100, 64, 0, 66}, alice.bytes(), []byte{192, 0, 2, 1}, uint16(0))
	f.Add([]byte{100, 127, 0, 2}, op.Certificate().PEM(), []byte{0, 0, 0, 0}, uint16(1))
	good := nebula.Lighthouse{Addr: op.block.Addr(), Underlay: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:4242")}, CA: op.bytes()}
	f.Fuzz(func(t *testing.T, addr, authority, at []byte, port uint16) {
		a, _ := netip.AddrFromSlice(addr)
		u, _ := netip.AddrFromSlice(at)
		l := nebula.Lighthouse{Addr: a, CA: authority, Underlay: []netip.AddrPort{netip.AddrPortFrom(u, port)}}
		fit, refused := nebula.Usable([]nebula.Lighthouse{good, l})
		if len(fit)+len(refused) != 2 || fit[0].Addr != good.Addr {
			t.Fatalf("%d fit, %d refused", len(fit), len(refused))
		}
		for _, l := range fit {
			c, err := cert.Parse(l.CA)
			if err != nil || !c.SelfSigned() || c.CheckPinned(l.Addr) != nil || len(l.Underlay) != 1 || l.Underlay[0].Port() == 0 {
				t.Fatalf("let through %+v", l)
			}
		}
	})
}
