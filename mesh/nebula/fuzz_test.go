package nebula_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/hippius/compute/mesh/nebula"
)

// Certificates come off the chain, where anybody puts them.
func FuzzParseCertificate(f *testing.F) {
	alice, op := tenant(f, 1), operator(f)
	f.Add(alice.bytes())
	f.Add(op.Certificate().PEM())
	f.Add(alice.member(f, 2, "vm").Cert)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := nebula.ParseCertificate(b)
		if err != nil {
			if c != nil {
				t.Fatal("an error with a certificate")
			}
			return
		}
		if len(c.Raw()) > nebula.MaxCertificateBytes || len(c.PublicKey()) != nebula.KeySize || len(c.Fingerprint()) != 64 {
			t.Fatalf("%d bytes, a key of %d", len(c.Raw()), len(c.PublicKey()))
		}
		for _, form := range [][]byte{c.Raw(), c.PEM()} {
			again, err := nebula.ParseCertificate(form)
			if err != nil || again.Fingerprint() != c.Fingerprint() || !bytes.Equal(again.Raw(), c.Raw()) {
				t.Fatalf("does not survive its own encoding: %v", err)
			}
		}
		// None of these may panic on what was parsed.
		_ = c.SelfSigned()
		_ = nebula.CheckPinned(c, op.block.Addr())
		_ = nebula.Verify(c, c.NotBefore(), alice.Certificate(), op.Certificate())
	})
}

// Lighthouses, too: what is let through must be able to say nothing but its own address.
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
			c, err := nebula.ParseCertificate(l.CA)
			if err != nil || !c.SelfSigned() || nebula.CheckPinned(c, l.Addr) != nil || len(l.Underlay) != 1 || l.Underlay[0].Port() == 0 {
				t.Fatalf("let through %+v", l)
			}
		}
	})
}
