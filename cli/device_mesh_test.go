package cli

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/nebula"
	"github.com/hippius/compute/tenant"
)

// What the tenant or the chain revoked is refused by the tenant's devices.
func TestDeviceRefusesTheRevoked(t *testing.T) {
	gone := make([]byte, 32)
	gone[0] = 0xab
	c := memberConfig(tenant.Device{CA: "ca", Cert: "cert", Key: "key"}, nil, mesh.Tenant{Revoked: [][]byte{gone}})
	if want := []string{"ab" + strings.Repeat("00", 31)}; !slices.Equal(c.Blocklist, want) {
		t.Errorf("blocklist %v, want %v", c.Blocklist, want)
	}
	if len(c.Firewall.Inbound) != 0 || len(c.Firewall.Outbound) != 1 {
		t.Errorf("firewall %+v; want nothing in, all out", c.Firewall)
	}
	if c = memberConfig(tenant.Device{}, nil, mesh.Tenant{}); c.Blocklist != nil {
		t.Errorf("of nobody: %v", c.Blocklist)
	}
}

// reloads is a node that remembers what it was told.
type reloads struct {
	mu  sync.Mutex
	all []nebula.Config
	err error
}

// set changes what the follower's goroutine meets.
func (r *reloads) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *reloads) Reload(c nebula.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.all = append(r.all, c)
	return nil
}

// A device that is in the mesh learns of a revocation while it is.
func TestDeviceFollowsRevocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		node := &reloads{}
		var now nebula.Config
		var away error
		look := func(context.Context) (nebula.Config, error) {
			node.mu.Lock()
			defer node.mu.Unlock()
			return now, away
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			follow(ctx, node, nebula.Config{}, look, slog.New(slog.DiscardHandler))
		}()
		step := func(what string, want int) {
			t.Helper()
			time.Sleep(lookEvery)
			synctest.Wait()
			if len(node.all) != want {
				t.Fatalf("%s: %d reloads, want %d", what, len(node.all), want)
			}
		}
		step("nothing new", 0)
		node.set(func() { now.Blocklist, node.err = []string{"ab"}, errors.New("not now") })
		step("a reload fails", 0)
		node.set(func() { node.err = nil })
		step("and is tried again", 1)
		if !slices.Equal(node.all[0].Blocklist, now.Blocklist) {
			t.Errorf("told %+v", node.all[0])
		}
		node.set(func() { away, now.Blocklist = errors.New("chain away"), nil })
		step("the chain is away", 1)
		node.set(func() { away, now.Lighthouses = nil, []nebula.Lighthouse{{Relay: true}} })
		step("a lighthouse more", 2)
		cancel()
		<-done
	})
}

// One operator's nonsense on chain keeps nobody from the other lighthouses.
func TestUsableLighthousesOfTheChain(t *testing.T) {
	now := time.Now()
	lighthouse := func(addr string) []byte {
		a, err := ca.NewLighthouse(make([]byte, ca.SeedSize), netip.MustParseAddr(addr), "house", now.Add(-time.Hour), now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return a.Certificate().Raw()
	}
	at := []string{"192.0.2.1:4242"}
	one := lighthouse("100.127.0.1")
	got := usable([]mesh.Lighthouse{
		{Address: netip.MustParseAddr("100.127.0.2"), CACertificate: []byte("rubbish"), Endpoints: at},
		{Address: netip.MustParseAddr("100.127.0.3"), CACertificate: one, Endpoints: at},
		{Address: netip.Addr{}, CACertificate: one, Endpoints: at},
		{Address: netip.MustParseAddr("100.127.0.4"), CACertificate: lighthouse("100.127.0.4"), Endpoints: []string{"0.0.0.0:4242", "192.0.2.1:0", "name:1"}},
		{Address: netip.MustParseAddr("100.127.0.1"), CACertificate: one, Endpoints: append([]string{"0.0.0.0:4242"}, at...), Relay: true},
	}, "hip1tenant", now)
	if len(got) != 1 || got[0].Addr.String() != "100.127.0.1" || len(got[0].Underlay) != 1 || !got[0].Relay {
		t.Errorf("usable are %+v", got)
	}
}

// A device keeps to the lighthouses that its tenant's VMs keep to, and not
// to whoever came first.
func TestLighthousesOfTheAccount(t *testing.T) {
	now := time.Now()
	var all []mesh.Lighthouse
	var numbers []uint32
	for n := range uint32(30) {
		addr, err := mesh.LighthouseAddr(n + 1)
		if err != nil {
			t.Fatal(err)
		}
		a, err := ca.NewLighthouse(make([]byte, ca.SeedSize), addr, "house", now.Add(-time.Hour), now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, mesh.Lighthouse{Address: addr, CACertificate: a.Certificate().Raw(), Endpoints: []string{"192.0.2.1:4242"}})
		numbers = append(numbers, n+1)
	}
	var got []uint32
	for _, l := range usable(all, "hip1tenant", now) {
		n, err := mesh.LighthouseNumber(l.Addr)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	if want := mesh.LighthousesFor("hip1tenant", numbers); !slices.Equal(got, want) {
		t.Errorf("kept to are %v, want %v", got, want)
	}
}
