package mesh

import (
	"net/netip"
	"testing"
)

func TestBlocksOfTheEdges(t *testing.T) {
	for _, c := range []struct {
		b      Block
		v4, v6 string
	}{
		{0, "100.64.0.0/26", "fd68::/48"},
		{1, "100.64.0.64/26", "fd68:0:1::/48"},
		{1024, "100.65.0.0/26", "fd68:0:400::/48"},
		{Blocks - 1, "100.126.255.192/26", "fd68:0:fbff::/48"},
		{Blocks, "", "fd68:0:fc00::/48"},
		{1<<32 - 1, "", "fd68:ffff:ffff::/48"},
	} {
		p, ok := c.b.V4()
		if ok != (c.v4 != "") || ok && p.String() != c.v4 {
			t.Errorf("block %d: got %s", c.b, p)
		}
		if got := c.b.V6().String(); got != c.v6 {
			t.Errorf("block %d: got %s, want %s", c.b, got, c.v6)
		}
		if got := len(c.b.Networks()); (got == 2) != ok {
			t.Errorf("block %d has %d networks", c.b, got)
		}
	}
	if Blocks != 64512 {
		t.Errorf("%d blocks", Blocks)
	}
}

func TestAddressesRoundTripAndDoNotMeet(t *testing.T) {
	seen := map[netip.Addr]bool{}
	for _, b := range []Block{0, 1, 2, 777, Blocks - 1, Blocks, Blocks + 1} {
		for host := uint32(FirstVM); host <= LastDevice; host++ {
			a, err := b.Addr(host)
			if err != nil {
				t.Fatal(err)
			}
			if seen[a] || LighthouseNetwork().Contains(a) {
				t.Fatalf("%s given twice", a)
			}
			seen[a] = true
			inside := false
			for _, p := range b.Networks() {
				inside = inside || p.Contains(a)
			}
			got, err := b.Host(a)
			if err != nil || got != host || !inside {
				t.Fatalf("block %d host %d: %s, %d, %v", b, host, a, got, err)
			}
			if _, err := b.VMHost(a); (err == nil) != (host <= LastVM) {
				t.Fatalf("host %d as a VM: %v", host, err)
			}
			if _, err := (b + 1).Host(a); err == nil {
				t.Fatalf("%s belongs to two blocks", a)
			}
		}
		for _, host := range []uint32{0, 1, 63, 64, 1 << 31} {
			if a, err := b.Addr(host); err == nil {
				t.Errorf("host %d has address %s", host, a)
			}
		}
	}
}

func TestOneFormOfAnAddress(t *testing.T) {
	for _, s := range []string{"100.64.0.1", "100.64.0.0", "100.64.0.63", "100.127.0.2", "10.0.0.2", "fd68::2", "fd68::1:2", "::ffff:100.64.0.2", "fd68::2%eth0"} {
		if host, err := Block(0).Host(netip.MustParseAddr(s)); err == nil {
			t.Errorf("%s is host %d of block 0", s, host)
		}
	}
	if _, err := Block(0).Host(netip.Addr{}); err == nil {
		t.Error("no address is a host")
	}
}

func TestLighthouses(t *testing.T) {
	for _, n := range []uint32{1, 2, 256, MaxLighthouses} {
		a, err := LighthouseAddr(n)
		if err != nil || !LighthouseNetwork().Contains(a) {
			t.Fatalf("lighthouse %d: %s, %v", n, a, err)
		}
		if back, err := LighthouseNumber(a); err != nil || back != n {
			t.Fatalf("%s: %d, %v", a, back, err)
		}
	}
	for _, n := range []uint32{0, MaxLighthouses + 1} {
		if a, err := LighthouseAddr(n); err == nil {
			t.Errorf("lighthouse %d is %s", n, a)
		}
	}
	for _, s := range []string{"100.127.0.0", "100.127.255.255", "100.126.255.255", "fd68::1"} {
		if n, err := LighthouseNumber(netip.MustParseAddr(s)); err == nil {
			t.Errorf("%s is lighthouse %d", s, n)
		}
	}
}

func FuzzHost(f *testing.F) {
	f.Add(uint32(0), []byte{100, 64, 0, 2})
	f.Fuzz(func(t *testing.T, index uint32, raw []byte) {
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		host, err := Block(index).Host(addr)
		if err != nil {
			return
		}
		if back, err := Block(index).Addr(host); err != nil || back != addr {
			t.Fatalf("%s is host %d, which is %s, %v", addr, host, back, err)
		}
	})
}
