package devnet

import (
	"net"
	"net/netip"
	"testing"
)

func TestNoPortIsGivenTwice(t *testing.T) {
	p := newPorts()
	seen := map[netip.AddrPort]bool{}
	for range 3000 {
		at, err := p.tcp(t.Context(), loopback())
		if err != nil {
			t.Fatal(err)
		}
		if seen[at] {
			t.Fatalf("%s was given twice", at)
		}
		if at.Port() >= 32768 {
			t.Fatalf("%s is one that the kernel may give a client", at)
		}
		seen[at] = true
	}
}

func TestTakenPortsAreNotGiven(t *testing.T) {
	p := &ports{}
	first, err := p.tcp(t.Context(), loopback())
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", first.String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was sent
	for _, from := range []uint32{0, portCount} {
		p.next.Store(from)
		if again, err := p.tcp(t.Context(), loopback()); err != nil || again == first {
			t.Errorf("from %d: got %v, %v while %s is taken", from, again, err, first)
		}
	}
}
