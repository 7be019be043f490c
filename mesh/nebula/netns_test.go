package nebula_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/hippius/compute/mesh/nebula"
)

// underlay is a router with sites around it, each in a network namespace of
// its own. The namespaces have no names: they end, and all in them, with the
// last process that is inside or holds them, however the test ends.
type underlay struct {
	router netns.NsHandle
	count  byte
}

// site is one host of the underlay, and the process that runs a node there.
type site struct {
	addr netip.Addr // its underlay address
	ns   netns.NsHandle
	in   io.WriteCloser
	out  *bufio.Scanner
}

func newUnderlay(t *testing.T) *underlay {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces; the same is tested over loopback, and here where the tests run as root")
	}
	u := &underlay{}
	u.router = newNamespace(t)
	inside(t, u.router, func() {
		require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600))
	})
	return u
}

// inside runs f with the calling thread in ns.
func inside(t *testing.T, ns netns.NsHandle, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	require.NoError(t, err)
	defer func() { _ = home.Close() }()
	require.NoError(t, netns.Set(ns))
	defer func() { require.NoError(t, netns.Set(home)) }()
	f()
}

func newNamespace(t *testing.T) netns.NsHandle {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	require.NoError(t, err)
	defer func() { _ = home.Close() }()
	ns, err := netns.New()
	require.NoError(t, err)
	require.NoError(t, netns.Set(home))
	t.Cleanup(func() { _ = ns.Close() })
	h := handle(t, ns)
	lo, err := h.LinkByName("lo")
	require.NoError(t, err)
	require.NoError(t, h.LinkSetUp(lo))
	return ns
}

func handle(t *testing.T, ns netns.NsHandle) *netlink.Handle {
	t.Helper()
	h, err := netlink.NewHandleAt(ns)
	require.NoError(t, err)
	t.Cleanup(h.Close)
	return h
}

// site connects another host to the router. It knows the ways to the given
// sites only, or to all if there is none: so two sites can be kept from each
// other as two hostile NATs would.
func (u *underlay) site(t *testing.T, who string, knows ...*site) *site {
	t.Helper()
	u.count++
	net4 := netip.AddrFrom4([4]byte{10, 77, u.count, 0})
	gateway := net4.Next()
	s := &site{addr: gateway.Next(), ns: newNamespace(t)}
	r, h := handle(t, u.router), handle(t, s.ns)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "hipt-" + string('a'+rune(u.count))
	require.NoError(t, r.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "hipt-eth", PeerNamespace: netlink.NsFd(s.ns)}))
	for _, end := range []struct {
		h    *netlink.Handle
		name string
		addr netip.Addr
	}{{r, attrs.Name, gateway}, {h, "hipt-eth", s.addr}} {
		l, err := end.h.LinkByName(end.name)
		require.NoError(t, err)
		require.NoError(t, end.h.AddrAdd(l, &netlink.Addr{IPNet: ipnet(netip.PrefixFrom(end.addr, 30))}))
		require.NoError(t, end.h.LinkSetUp(l))
	}
	to := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	if len(knows) > 0 {
		to = nil
		for _, k := range knows {
			to = append(to, netip.PrefixFrom(k.addr, 32))
		}
	}
	for _, p := range to {
		require.NoError(t, h.RouteAdd(&netlink.Route{Dst: ipnet(p), Gw: gateway.AsSlice()}))
	}
	s.run(t, who)
	return s
}

func ipnet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// run starts the process inside the namespace.
func (s *site) run(t *testing.T, who string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), helperEnv+"="+who)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	inside(t, s.ns, func() { require.NoError(t, cmd.Start()) })
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	s.in, s.out = in, bufio.NewScanner(out)
}

func (s *site) do(t *testing.T, o order) outcome {
	t.Helper()
	require.NoError(t, json.NewEncoder(s.in).Encode(o))
	require.True(t, s.out.Scan(), "the process ended: %v", s.out.Err())
	var got outcome
	require.NoError(t, json.Unmarshal(s.out.Bytes(), &got))
	return got
}

func (s *site) start(t *testing.T, c nebula.Config) uint16 {
	t.Helper()
	got := s.do(t, order{Op: "start", Config: &c})
	require.Empty(t, got.Error)
	return got.Port
}

func (s *site) reaches(t *testing.T, to netip.Addr, kernel bool) float64 {
	t.Helper()
	got := s.do(t, order{Op: "dial", To: to, Within: 10 * time.Second, Kernel: kernel})
	require.Empty(t, got.Error)
	return got.MS
}

func (s *site) reachesNot(t *testing.T, to netip.Addr, kernel bool) {
	t.Helper()
	got := s.do(t, order{Op: "dial", To: to, Within: quick, Kernel: kernel})
	require.NotEmpty(t, got.Error)
}

func (s *site) peer(t *testing.T, addr netip.Addr) nebula.Peer {
	t.Helper()
	p := s.do(t, order{Op: "peer", To: addr}).Peer
	require.NotNil(t, p, "no tunnel to %s", addr)
	return *p
}

// cut keeps two sites from each other from now on, silently, as a firewall between them would.
func (u *underlay) cut(t *testing.T, a, b *site) {
	t.Helper()
	const table = 77
	r := handle(t, u.router)
	require.NoError(t, r.RouteReplace(&netlink.Route{Type: unix.RTN_BLACKHOLE, Table: table, Dst: ipnet(netip.MustParsePrefix("0.0.0.0/0"))}))
	for _, way := range [][2]netip.Addr{{a.addr, b.addr}, {b.addr, a.addr}} {
		rule := netlink.NewRule()
		rule.Table, rule.Src, rule.Dst = table, ipnet(netip.PrefixFrom(way[0], 32)), ipnet(netip.PrefixFrom(way[1], 32))
		require.NoError(t, r.RuleAdd(rule))
	}
}

// tun completes a member as a VM runs it.
func tun(c nebula.Config, lighthouses ...nebula.Lighthouse) nebula.Config {
	c.Mode, c.Stack, c.TunName, c.Lighthouses, c.UseRelays = nebula.ModeTun, nil, "hipt-tun", lighthouses, true
	c.Listen = netip.AddrPortFrom(netip.IPv4Unspecified(), 4242)
	return c
}

func TestNamespacesDirect(t *testing.T) {
	t.Parallel()
	u := newUnderlay(t)
	op, alice, bob := operator(t), tenant(t, 1), tenant(t, 2)
	lh := u.site(t, "lighthouse")
	port := lh.start(t, op.lighthouseConfig(t, lh.addr, alice, bob))
	seen := nebula.Lighthouse{Addr: op.block.Addr(), Underlay: []netip.AddrPort{netip.AddrPortFrom(lh.addr, port)}, CA: op.bytes(), Relay: true}

	vm1, vm2, laptop, stranger := u.site(t, "vm1"), u.site(t, "vm2"), u.site(t, "laptop"), u.site(t, "bob")
	vm1.start(t, tun(alice.member(t, 2, "vm"), seen))
	vm2.start(t, tun(alice.member(t, 3, "vm"), seen))
	roaming := alice.member(t, 48, "device")
	roaming.Lighthouses, roaming.UseRelays = []nebula.Lighthouse{seen}, true
	laptop.start(t, roaming)
	stranger.start(t, tun(bob.member(t, 2), seen))

	t.Logf("userspace to tun, cold: %.1f ms", laptop.reaches(t, alice.addr(2), false))
	t.Logf("tun to tun, cold: %.1f ms", vm2.reaches(t, alice.addr(2), true))
	require.Equal(t, vm1.addr, laptop.peer(t, alice.addr(2)).Underlay.Addr())
	require.Equal(t, vm1.addr, vm2.peer(t, alice.addr(2)).Underlay.Addr())
	require.Empty(t, vm2.peer(t, alice.addr(2)).Relays)

	t.Run("another tenant does not get in", func(t *testing.T) {
		// Even with a way there: its whole mesh space leads into its tun.
		h := handle(t, stranger.ns)
		l, err := h.LinkByName("hipt-tun")
		require.NoError(t, err)
		require.NoError(t, h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipnet(netip.MustParsePrefix("100.64.0.0/10"))}))
		stranger.reachesNot(t, alice.addr(2), true)
	})
	t.Run("the lighthouse's host does not get in", func(t *testing.T) {
		lh.reachesNot(t, alice.addr(2), true)
	})
	t.Run("a direct session needs no lighthouse", func(t *testing.T) {
		require.Empty(t, lh.do(t, order{Op: "close"}).Error)
		require.Empty(t, laptop.do(t, order{Op: "pong", Within: 5 * time.Second}).Error)
		require.Empty(t, vm2.do(t, order{Op: "pong", Within: 5 * time.Second}).Error)
	})
	t.Run("closing removes the interface", func(t *testing.T) {
		require.Contains(t, vm2.do(t, order{Op: "links"}).Links, "hipt-tun")
		require.Empty(t, vm2.do(t, order{Op: "close"}).Error)
		require.NotContains(t, vm2.do(t, order{Op: "links"}).Links, "hipt-tun")
	})
}

// A session whose direct way is cut goes on through the relay; and a new one finds that way at once.
func TestNamespacesDirectWayCut(t *testing.T) {
	t.Parallel()
	u := newUnderlay(t)
	op, alice := operator(t), tenant(t, 1)
	lh := u.site(t, "lighthouse")
	port := lh.start(t, op.lighthouseConfig(t, lh.addr, alice))
	seen := nebula.Lighthouse{Addr: op.block.Addr(), Underlay: []netip.AddrPort{netip.AddrPortFrom(lh.addr, port)}, CA: op.bytes(), Relay: true}
	vm, laptop, later := u.site(t, "vm"), u.site(t, "laptop"), u.site(t, "later laptop")
	vm.start(t, tun(alice.member(t, 2), seen))
	for i, s := range []*site{laptop, later} {
		c := alice.member(t, byte(48+i))
		c.Lighthouses, c.UseRelays = []nebula.Lighthouse{seen}, true
		s.start(t, c)
	}
	laptop.reaches(t, alice.addr(2), false)
	require.Equal(t, vm.addr, laptop.peer(t, alice.addr(2)).Underlay.Addr())
	u.cut(t, laptop, vm)
	u.cut(t, later, vm)

	t.Logf("barred from the start: %.1f ms", later.reaches(t, alice.addr(2), false))
	require.Equal(t, []netip.Addr{op.block.Addr()}, later.peer(t, alice.addr(2)).Relays)
	began := time.Now()
	require.Empty(t, laptop.do(t, order{Op: "pong", Within: 2 * time.Minute}).Error)
	t.Logf("paused for %s", time.Since(began))
	require.Equal(t, []netip.Addr{op.block.Addr()}, laptop.peer(t, alice.addr(2)).Relays)
}

// Two VMs that cannot reach each other, each of which reaches the
// lighthouse: all goes through its relay, until it is told to drop the tenant.
func TestNamespacesRelay(t *testing.T) {
	t.Parallel()
	u := newUnderlay(t)
	op, alice, bob := operator(t), tenant(t, 1), tenant(t, 2)
	lh := u.site(t, "lighthouse")
	config := op.lighthouseConfig(t, lh.addr, alice, bob)
	port := lh.start(t, config)
	seen := nebula.Lighthouse{Addr: op.block.Addr(), Underlay: []netip.AddrPort{netip.AddrPortFrom(lh.addr, port)}, CA: op.bytes(), Relay: true}
	vm1, vm2 := u.site(t, "vm1", lh), u.site(t, "vm2", lh)
	bob1, bob2 := u.site(t, "bob1", lh), u.site(t, "bob2", lh)
	vm1.start(t, tun(alice.member(t, 2), seen))
	vm2.start(t, tun(alice.member(t, 3), seen))
	bob1.start(t, tun(bob.member(t, 2), seen))
	bob2.start(t, tun(bob.member(t, 3), seen))

	t.Logf("relayed tun to tun, cold: %.1f ms", vm2.reaches(t, alice.addr(2), true))
	bob2.reaches(t, bob.addr(2), true)
	p := vm2.peer(t, alice.addr(2))
	require.False(t, p.Underlay.IsValid(), "%s", p.Underlay)
	require.Equal(t, []netip.Addr{op.block.Addr()}, p.Relays)

	config.CAs = [][]byte{bob.bytes()}
	require.Empty(t, lh.do(t, order{Op: "reload", Config: &config}).Error)
	require.NotEmpty(t, vm2.do(t, order{Op: "pong", Within: time.Second}).Error, "cut")
	require.Empty(t, bob2.do(t, order{Op: "pong", Within: 5 * time.Second}).Error, "goes on")
}
