package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/internal/testkit"
)

// nets are hosts that take everything there is, and the honest one is at 127.0.0.1.
func nets() map[string][]string {
	crowd := make([]string, 60)
	for i := range crowd {
		crowd[i] = net.IPv4(127, 0, 1, byte(i+1)).String()
	}
	return map[string][]string{
		"four hosts of one /24":           {"127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4"},
		"four hosts of four /24s":         {"127.0.1.1", "127.0.2.1", "127.0.3.1", "127.0.4.1"},
		"four hosts of the honest /24":    {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"},
		"one call from each of 60 of /24": crowd,
	}
}

// Hosts that hold all calls, each with half a message, do not lock out the next.
func TestCallsAreShared(t *testing.T) {
	for name, from := range nets() {
		t.Run(name, func(t *testing.T) {
			const total = 60
			each := total / len(from)
			s := serve(t, MaxCalls(total, each), ArrivalTimeout(time.Hour))
			var ended []func() int
			for _, host := range from {
				ended = append(ended, flood(t, host, s.addr, 1, each))
			}
			testkit.Until(t, "the flood", func() bool { return s.srv.calls.inProgress() == total })
			honest := s.honest(t)
			for range 5 {
				s.served(t, honest)
			}
			lost := 0
			for _, n := range ended {
				lost += n()
			}
			if lost > 6 {
				t.Errorf("%d calls were ended for six", lost)
			}
		})
	}
}

// Hosts of one network that hold all connections, few each, do not lock out the next.
func TestConnectionsAreSharedByNetwork(t *testing.T) {
	for name, from := range nets() {
		t.Run(name, func(t *testing.T) {
			const total = 60
			s := serve(t, MaxConns(total, 15))
			for i := range total {
				newRaw(t, from[i%len(from)], s.addr)
			}
			for range 3 {
				s.served(t, s.honest(t))
			}
		})
	}
}

func at(addr string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr + ":1")) }

// begun is a call from an address; nil if it was refused.
func begun(t *testing.T, c *calls, addr string) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(grpcpeer.NewContext(t.Context(), &grpcpeer.Peer{Addr: at(addr)}))
	t.Cleanup(cancel)
	if ctx, err := c.begin(ctx, nil); err == nil {
		return ctx
	} else if !errors.Is(err, errTooMany) {
		t.Fatal(err)
	}
	return nil
}

func ended(calls ...context.Context) (n int) {
	for _, ctx := range calls {
		if ctx.Err() != nil {
			n++
		}
	}
	return n
}

// The oldest call that has not arrived gives way, of whoever has most; others' stay.
func TestWhichCallGivesWay(t *testing.T) {
	c := newCalls(settings{maxCalls: 9, maxCallsPerHost: 6, arrival: time.Hour})
	var large, small []context.Context
	for range 5 {
		large = append(large, begun(t, c, "192.0.2.1"))
	}
	for range 4 {
		small = append(small, begun(t, c, "198.51.100.1"))
	}
	arrived(large[0])
	first := begun(t, c, "203.0.113.1")
	if first == nil || large[0].Err() != nil || large[1].Err() == nil || ended(large...) != 1 || ended(small...) != 0 {
		t.Fatalf("the oldest that had not arrived did not give way: %d of the largest were ended, %d others", ended(large...), ended(small...))
	}
	if err := because(large[1], context.Canceled); !errors.Is(err, errGaveWay) {
		t.Errorf("it is told %v", err)
	}
	// Without one that has not arrived in the largest network, the next gives way.
	for _, ctx := range large[2:] {
		arrived(ctx)
	}
	if second := begun(t, c, "203.0.113.2"); second == nil || small[0].Err() == nil || ended(large...) != 1 || ended(small...) != 1 {
		t.Fatalf("%d of the largest were ended, %d others", ended(large...), ended(small...))
	}
	// Those that have arrived are cut for a network below its third, and for no other.
	for _, ctx := range small {
		arrived(ctx)
	}
	if third := begun(t, c, "203.0.113.3"); third == nil || large[0].Err() == nil || ended(large...) != 2 || ended(small...) != 1 {
		t.Fatalf("%d of the largest were ended, %d others", ended(large...), ended(small...))
	}
	if begun(t, c, "203.0.113.4") != nil || begun(t, c, "192.0.2.9") != nil || c.inProgress() != 9 {
		t.Errorf("whoever has a third already took another's, %d calls in progress", c.inProgress())
	}
}

// Calls that have arrived stay while there are others, and those of who has no more than its part always.
func TestArrivedCallsOfASmallNetworkStay(t *testing.T) {
	c := newCalls(settings{maxCalls: 8, maxCallsPerHost: 8, arrival: time.Hour})
	var calls []context.Context
	for i := range 8 {
		calls = append(calls, begun(t, c, netip.AddrFrom4([4]byte{192, 0, byte(i), 1}).String()))
		arrived(calls[i])
	}
	if begun(t, c, "203.0.113.1") != nil || ended(calls...) != 0 {
		t.Error("the only call of a network was cut")
	}
}

// Whoever's call is cut after it has arrived is told why.
func TestCallThatGaveWayIsTold(t *testing.T) {
	s := serve(t, MaxCalls(2, 2))
	c := s.honest(t)
	<-s.caller
	w, err := c.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "hang"})
	if err != nil {
		t.Fatal(err)
	}
	<-s.caller
	w2, err := c.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "hang"})
	if err != nil {
		t.Fatal(err)
	}
	<-s.caller
	testkit.Until(t, "the first call's end", func() bool { return s.srv.calls.inProgress() == 2 })
	if _, err := newRaw(t, "127.0.1.1", s.addr).call(1000); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Recv(); status.Convert(err).Message() != status.Convert(errGaveWay).Message() {
		t.Errorf("the older call ended with %v", err)
	}
	select {
	case <-w2.Context().Done():
		t.Error("both calls were cut for one")
	default:
	}
}

// A flood of keys from one network is its own loss.
func TestTrackedCallersAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(settings{rate: 0.001, burst: 1})
		keys := uint64(0)
		call := func(from net.Addr) []byte {
			keys++
			id := binary.BigEndian.AppendUint64(make([]byte, 24), keys)
			if !g.allow(id, originOf(from)) {
				return nil
			}
			return id
		}
		old := call(at("192.0.2.1"))
		for range maxTracked - 1 {
			call(at("192.0.2.2"))
		}
		if g.allow(old, originOf(at("192.0.2.1"))) {
			t.Fatal("the first has one call")
		}
		time.Sleep(2 * sweepEvery)
		if call(at("192.0.2.2")) != nil {
			t.Error("the flood itself got new allowances")
		}
		other := call(at("198.51.100.1"))
		if other == nil || g.allow(other, originOf(at("198.51.100.1"))) {
			t.Error("a caller of another network is refused, or has more than its one call")
		}
		if call(at("192.0.2.3")) == nil {
			t.Error("another host of the flood's network is refused")
		}
		if g.allow(old, originOf(at("192.0.2.1"))) {
			t.Error("a caller that had called since was forgotten first")
		}
		if len(g.callers) != maxTracked || g.tracked.held != maxTracked {
			t.Errorf("%d and %d callers are remembered, bound is %d", len(g.callers), g.tracked.held, maxTracked)
		}
	})
}

func TestNetworkOf(t *testing.T) {
	for name, c := range map[string]struct {
		a, b string
		same bool
	}{
		"one /24":      {"192.0.2.1:1", "192.0.2.255:2", true},
		"two /24s":     {"192.0.2.1:1", "192.0.3.1:1", false},
		"mapped":       {"192.0.2.1:1", "[::ffff:192.0.2.9]:1", true},
		"one /48":      {"[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", true},
		"two /48s":     {"[2001:db8::1]:1", "[2001:db8:1::1]:1", false},
		"link, a zone": {"[fe80::1%a]:1", "[fe80::1%b]:1", true},
	} {
		of := func(s string) netip.Prefix { return NetworkOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s))) }
		if got := of(c.a) == of(c.b); got != c.same {
			t.Errorf("%s: %s and %s: one network is %v, want %v", name, c.a, c.b, got, c.same)
		}
	}
	for _, addr := range []net.Addr{nil, &net.UnixAddr{Name: "@"}} {
		if got := NetworkOf(addr); got != (netip.Prefix{}) {
			t.Errorf("%v: %s", addr, got)
		}
	}
}
