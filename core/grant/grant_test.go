package grant

import (
	"bytes"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
)

func sample() (Grant, Want) {
	now := time.Unix(1_000_000, 0)
	g := Grant{
		Purpose: Deal, ChainID: "c", VMID: "v", Audience: bytes.Repeat([]byte{1}, 32), ClientKey: bytes.Repeat([]byte{2}, 32),
		ExpiresAt: now.Add(time.Minute).Unix(),
	}
	return g, Want{Purpose: g.Purpose, ChainID: g.ChainID, VMID: g.VMID, Audience: g.Audience, ClientKey: g.ClientKey, Now: now}
}

func TestCheck(t *testing.T) {
	g, want := sample()
	if err := g.Check(want); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Grant, *Want){
		"purpose":    func(g *Grant, _ *Want) { g.Purpose = Console },
		"chain":      func(g *Grant, _ *Want) { g.ChainID = "d" },
		"vm":         func(g *Grant, _ *Want) { g.VMID = "w" },
		"audience":   func(g *Grant, _ *Want) { g.Audience = bytes.Repeat([]byte{3}, 32) },
		"client key": func(g *Grant, _ *Want) { g.ClientKey = nil },
		"expired":    func(g *Grant, w *Want) { w.Now = time.Unix(g.ExpiresAt, 0) },
		"too far":    func(g *Grant, w *Want) { g.ExpiresAt = w.Now.Add(MaxLife).Unix() + 1 },
		"far future": func(g *Grant, _ *Want) { g.ExpiresAt = 1<<63 - 1 },
		"before":     func(g *Grant, _ *Want) { g.ExpiresAt = -1 << 63 },
	} {
		g, want := sample()
		change(&g, &want)
		if g.Check(want) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	last := want
	last.Now = time.Unix(g.ExpiresAt, 0).Add(-time.Nanosecond)
	if err := g.Check(last); err != nil {
		t.Errorf("just before it expires: %v", err)
	}
	g.ExpiresAt = want.Now.Add(MaxLife).Unix()
	if err := g.Check(want); err != nil {
		t.Errorf("of the longest life: %v", err)
	}
}

// No two grants share a digest by moving bytes between fields.
func TestDigestSeparatesFields(t *testing.T) {
	g, _ := sample()
	seen := map[string]string{}
	for name, change := range map[string]func(*Grant){
		"same":           func(*Grant) {},
		"purpose":        func(g *Grant) { g.Purpose = OwnerRelease },
		"chain":          func(g *Grant) { g.ChainID = "cv"; g.VMID = "" },
		"vm":             func(g *Grant) { g.ChainID = ""; g.VMID = "cv" },
		"audience moved": func(g *Grant) { g.Audience = append(g.Audience, g.ClientKey...); g.ClientKey = nil },
		"client moved":   func(g *Grant) { g.ClientKey = append(g.Audience, g.ClientKey...); g.Audience = nil },
		"expiry":         func(g *Grant) { g.ExpiresAt++ },
	} {
		g := g
		change(&g)
		d := string(g.Digest())
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[d] = name
	}
}

func FuzzDigest(f *testing.F) {
	f.Add("deal", "c", "v", "deal", "cv", "")
	f.Fuzz(func(t *testing.T, p1, c1, v1, p2, c2, v2 string) {
		a := Grant{Purpose: Purpose(p1), ChainID: c1, VMID: vm.ID(v1)}
		b := Grant{Purpose: Purpose(p2), ChainID: c2, VMID: vm.ID(v2)}
		same := p1 == p2 && c1 == c2 && v1 == v2
		if bytes.Equal(a.Digest(), b.Digest()) != same {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}
