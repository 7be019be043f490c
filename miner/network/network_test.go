package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/internal/testkit"
)

func vmID(n int) string { return fmt.Sprintf("%032x", n) }

// TestPackets sends real frames from two tenants' VMs and sees which
// arrive. What must not arrive is proven by the counter of the rule that
// stopped it, and what must is sent after it on the same way.
func TestPackets(t *testing.T) {
	w := newWorld(t)
	a1, a2, b := w.boot(t, w.ensure(t, vmID(1), "alice", 0)), w.boot(t, w.ensure(t, vmID(2), "alice", 0)), w.boot(t, w.ensure(t, vmID(3), "bob", 0))
	public := w.ear(t, w.beyond, publicAddr+":5000")
	private := w.ear(t, w.beyond, privateAddr+":5000")

	stopped := func(t *testing.T, vm, why string, send func()) {
		t.Helper()
		before := w.dropped(t, vm, why)
		send()
		testkit.Until(t, "the counter of "+why, func() bool { return w.dropped(t, vm, why) > before })
	}

	t.Run("Masquerade", func(t *testing.T) {
		a1.send(t, 1111, publicAddr+":5000", "hello")
		testkit.Until(t, "the datagram", func() bool { _, ok := public.heard("hello"); return ok })
		from, _ := public.heard("hello")
		if from.Addr().String() != uplinkAddr {
			t.Fatalf("it came from %s, want the host's uplink", from)
		}
		public.say(t, from, "answer")
		testkit.Until(t, "the answer", func() bool { return a1.hears("udp " + publicAddr + ":5000>1111 answer") })
	})

	t.Run("Unasked", func(t *testing.T) {
		// Someone beyond routes to the VMs' own addresses.
		testkit.Check(t, w.beyond.Route(w.cfg.Pool, netip.MustParseAddr(uplinkAddr)))
		stopped(t, "", DroppedInbound, func() {
			public.say(t, netip.AddrPortFrom(a1.tap.Guest.Addr(), 22), "unasked")
		})
		if a1.hears("unasked") {
			t.Error("it arrived")
		}
	})

	// Two that punch holes call each other at about the same time: who calls first must not spoil it.
	t.Run("CalledBeforeItCalls", func(t *testing.T) {
		far, mesh := w.ear(t, w.beyond, publicAddr+":7000"), netip.MustParseAddrPort(uplinkAddr+":4242")
		for range 2 {
			stopped(t, "", DroppedEarly, func() { far.say(t, mesh, "early") })
		}
		a1.send(t, 4242, publicAddr+":7000", "called")
		testkit.Until(t, "the call", func() bool { _, ok := far.heard("called"); return ok })
		if from, _ := far.heard("called"); from != mesh {
			t.Fatalf("it came from %s, want %s, which others were told of", from, mesh)
		}
		far.say(t, mesh, "answer to it")
		testkit.Until(t, "the answer", func() bool { return a1.hears("udp " + publicAddr + ":7000>4242 answer to it") })
		if a1.hears("early") {
			t.Error("what came before the call arrived")
		}
	})

	t.Run("Neighbours", func(t *testing.T) {
		to := func(g *guest, port uint16) string { return netip.AddrPortFrom(g.tap.Guest.Addr(), port).String() }
		stopped(t, "", DroppedNeighbour, func() { a1.send(t, 4242, to(b, 4242), "to a stranger") })
		stopped(t, "", DroppedNeighbour, func() { a1.send(t, 4242, to(a2, 53), "to another port") })
		stopped(t, "", DroppedNeighbour, func() { a1.send(t, 53, to(a2, 4242), "from another port") })
		stopped(t, "", DroppedNeighbour, func() { a1.sendSYN(t, 4242, to(a2, 4242)) })
		a1.send(t, 4242, to(a2, 4242), "among ourselves")
		testkit.Until(t, "the mesh's datagram", func() bool { return a2.hears("among ourselves") })
		if !a2.hears("udp " + to(a1, 4242)) {
			t.Errorf("it came masqueraded: %q", a2.heard)
		}
		a2.send(t, 4242, to(a1, 4242), "and back")
		testkit.Until(t, "the answer", func() bool { return a1.hears("and back") })
		for _, g := range []*guest{a2, b} {
			for _, forbidden := range []string{"stranger", "another port", "tcp"} {
				if g.hears(forbidden) {
					t.Errorf("arrived: %q", g.heard)
				}
			}
		}
	})

	t.Run("Host", func(t *testing.T) {
		services := []*ear{w.ear(t, w.host, "0.0.0.0:5001")}
		for _, at := range []string{a1.tap.Host.Addr().String(), uplinkAddr, b.tap.Host.Addr().String()} {
			stopped(t, "", DroppedHost, func() { a1.send(t, 1111, at+":5001", "to the host") })
			stopped(t, "", DroppedHost, func() { a1.sendSYN(t, 1111, at+":5001") })
		}
		if _, ok := services[0].heard("to the host"); ok {
			t.Error("it arrived")
		}
		// The host may speak to its VMs, and gets answers.
		services[0].say(t, netip.AddrPortFrom(a1.tap.Guest.Addr(), 2222), "from the host")
		testkit.Until(t, "the host's datagram", func() bool { return a1.hears("from the host") })
		a1.send(t, 2222, a1.tap.Host.Addr().String()+":5001", "yes, host")
		testkit.Until(t, "the answer", func() bool { _, ok := services[0].heard("yes, host"); return ok })
	})

	t.Run("PrivateAndLighthouses", func(t *testing.T) {
		stopped(t, "", DroppedPrivate, func() { a1.send(t, 1111, privateAddr+":5000", "private") })
		stopped(t, "", DroppedPrivate, func() { a1.send(t, 1111, "169.254.169.254:80", "metadata") })
		set := func(ends ...string) {
			t.Helper()
			var lights []netip.AddrPort
			for _, e := range ends {
				lights = append(lights, netip.MustParseAddrPort(e))
			}
			testkit.Check(t, w.host.Do(func() error { return w.net.SetLighthouses(lights) }))
			now := w.net.Lighthouses()
			if !slices.Equal(now, lights) {
				t.Fatalf("lighthouses are %v, want %v", now, lights)
			}
		}
		set(privateAddr+":5000", "198.51.100.7:4242")
		a1.send(t, 1111, privateAddr+":5000", "lighthouse")
		testkit.Until(t, "the lighthouse's datagram", func() bool { _, ok := private.heard("lighthouse"); return ok })
		stopped(t, "", DroppedPrivate, func() { a1.send(t, 1111, privateAddr+":5001", "beside it") })
		stopped(t, "", DroppedPrivate, func() { a1.sendSYN(t, 1111, privateAddr+":5000") })
		set()
		// Also the flow that was open.
		stopped(t, "", DroppedPrivate, func() { a1.send(t, 1111, privateAddr+":5000", "no more") })
		if _, ok := private.heard("no more"); ok {
			t.Error("a former lighthouse is reached")
		}
		bad := []netip.AddrPort{netip.MustParseAddrPort("[::1]:1")}
		if err := w.host.Do(func() error { return w.net.SetLighthouses(bad) }); err == nil {
			t.Error("an IPv6 lighthouse was taken")
		}
	})

	t.Run("Mail", func(t *testing.T) {
		stopped(t, "", DroppedMail, func() { a1.sendSYN(t, 3333, publicAddr+":25") })
		a1.sendSYN(t, 3334, publicAddr+":26") // nobody listens: the far kernel says so
		testkit.Until(t, "the refusal from port 26", func() bool { return a1.hears("tcp " + publicAddr + ":26>3334") })
		if a1.hears(":25>") {
			t.Error("port 25 answered")
		}
	})

	t.Run("Spoofed", func(t *testing.T) {
		me, mac := a1.tap.Guest.Addr(), a1.mac()
		far := netip.MustParseAddr(publicAddr)
		datagram := func(from netip.Addr) []byte {
			return ipv4Packet(unix.IPPROTO_UDP, from, far, udp(1111, 5000, []byte("spoofed")))
		}
		for what, frame := range map[string][]byte{
			"a neighbour's address": ethernetFrame(a1.hostMAC, mac, unix.ETH_P_IP, datagram(a2.tap.Guest.Addr())),
			"the host's address":    ethernetFrame(a1.hostMAC, mac, unix.ETH_P_IP, datagram(a1.tap.Host.Addr())),
			"no address":            ethernetFrame(a1.hostMAC, mac, unix.ETH_P_IP, datagram(netip.IPv4Unspecified())),
			"another MAC":           ethernetFrame(a1.hostMAC, a2.mac(), unix.ETH_P_IP, datagram(me)),
			"ARP for another":       ethernetFrame(a1.hostMAC, mac, unix.ETH_P_ARP, arp(2, mac, a2.tap.Guest.Addr(), a1.hostMAC, me)),
			"ARP as another":        ethernetFrame(a1.hostMAC, mac, unix.ETH_P_ARP, arp(2, a2.mac(), me, a1.hostMAC, me)),
			"IPv6":                  ethernetFrame(a1.hostMAC, mac, unix.ETH_P_IPV6, make([]byte, 40)),
			"a VLAN":                ethernetFrame(a1.hostMAC, mac, unix.ETH_P_8021Q, append([]byte{0, 1, 8, 0}, datagram(me)...)),
		} {
			t.Run(what, func(t *testing.T) {
				stopped(t, a1.tap.VM, DroppedSpoofed, func() { testkit.Check(t, a1.write(frame)) })
			})
		}
		if _, ok := public.heard("spoofed"); ok {
			t.Error("it arrived")
		}
		a1.send(t, 1111, publicAddr+":5000", "honest again")
		testkit.Until(t, "the honest datagram", func() bool { _, ok := public.heard("honest again"); return ok })
		if n := w.dropped(t, b.tap.VM, DroppedSpoofed); n != 0 {
			t.Errorf("another's counter rose to %d", n)
		}
	})

	t.Run("Restart", func(t *testing.T) {
		taps := func() (all []Tap) {
			testkit.Check(t, w.host.Do(func() (err error) { all, err = w.net.List(t.Context()); return err }))
			return all
		}
		testkit.Check(t, w.host.Do(func() error {
			return w.net.SetLighthouses([]netip.AddrPort{netip.MustParseAddrPort(privateAddr + ":5000")})
		}))
		before := taps()
		w.open(t)
		if after := taps(); len(after) != 3 || !slices.Equal(after, before) {
			t.Fatalf("found %+v, left %+v", after, before)
		}
		if tap := w.ensure(t, vmID(1), "alice", 0); tap != a1.tap {
			t.Errorf("ensured anew it is %+v, was %+v", tap, a1.tap)
		}
		a1.send(t, 4242, netip.AddrPortFrom(a2.tap.Guest.Addr(), 4242).String(), "after the restart")
		testkit.Until(t, "the neighbour's datagram", func() bool { return a2.hears("after the restart") })
		a1.send(t, 1111, privateAddr+":5000", "lighthouse again")
		testkit.Until(t, "the lighthouse's datagram", func() bool { _, ok := private.heard("lighthouse again"); return ok })
		stopped(t, "", DroppedNeighbour, func() {
			a1.send(t, 4242, netip.AddrPortFrom(b.tap.Guest.Addr(), 4242).String(), "to a stranger")
		})
	})
}

// TestNothingIsInherited gives one address to two tenants in turn: answers to
// the first must not reach the second.
func TestNothingIsInherited(t *testing.T) {
	w := newWorld(t)
	w.cfg.Pool = netip.MustParsePrefix("10.90.0.0/30")
	w.open(t)
	public := w.ear(t, w.beyond, publicAddr+":5000")
	a := w.boot(t, w.ensure(t, vmID(1), "alice", 0))
	a.send(t, 1111, publicAddr+":5000", "from alice")
	testkit.Until(t, "the datagram", func() bool { _, ok := public.heard("from alice"); return ok })
	from, _ := public.heard("from alice")

	err := w.host.Do(func() error {
		_, err := w.net.Ensure(t.Context(), Attachment{VM: vmID(2), Tenant: "bob"})
		return err
	})
	if !errors.Is(err, ErrFull) {
		t.Fatalf("a second VM in a pool of one: %v, want ErrFull", err)
	}
	testkit.Check(t, a.file.Close())
	for range 2 { // the second time is no error
		testkit.Check(t, w.host.Do(func() error { return w.net.Remove(t.Context(), vmID(1)) }))
	}
	b := w.boot(t, w.ensure(t, vmID(2), "bob", 0))
	if b.tap.Guest != a.tap.Guest {
		t.Fatalf("this test needs one address, got %s and %s", a.tap.Guest, b.tap.Guest)
	}
	public.say(t, from, "for alice")
	b.send(t, 2222, publicAddr+":5000", "from bob")
	testkit.Until(t, "bob's datagram", func() bool { _, ok := public.heard("from bob"); return ok })
	at, _ := public.heard("from bob")
	public.say(t, at, "for bob")
	testkit.Until(t, "bob's answer", func() bool { return b.hears("for bob") })
	if b.hears("for alice") {
		t.Error("bob hears what is for alice")
	}

	// The same when a VM itself changes hands.
	tap := w.ensure(t, vmID(2), "carol", 0)
	if tap.Tenant != "carol" || tap.TenantMark == 0 {
		t.Errorf("changed hands, the tap is %+v", tap)
	}
}

// TestBandwidth offers a VM more than its plan both ways.
func TestBandwidth(t *testing.T) {
	w := newWorld(t)
	const bits = 8_000_000
	g := w.boot(t, w.ensure(t, vmID(1), "alice", bits))
	public := w.ear(t, w.beyond, publicAddr+":5000")
	payload := strings.Repeat("x", 1200)
	const period = 2 * time.Second
	within := func(what string, bytes, offered int) {
		t.Helper()
		rate, most := float64(bytes)*8/period.Seconds(), float64(offered)*8/period.Seconds()
		t.Logf("%s: %.1f Mbit/s of %.1f, offered %.1f", what, rate/1e6, bits/1e6, most/1e6)
		if rate < 0.6*min(bits, most) || rate > 1.4*bits {
			t.Errorf("%s at %.1f Mbit/s, the cap is %.1f", what, rate/1e6, bits/1e6)
		}
	}

	// offer sends for a period, on a quiet host 40 Mbit/s.
	offer := func(send func()) (bytes int) {
		for end := time.Now().Add(period); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			for range 20 {
				send()
				bytes += len(payload)
			}
		}
		return bytes
	}
	outbound := func() { g.send(t, 1111, publicAddr+":5000", payload) }
	reached := func() int {
		time.Sleep(50 * time.Millisecond)
		public.mu.Lock()
		defer public.mu.Unlock()
		return public.bytes
	}
	// nft's bucket holds a second's worth on top of the burst.
	first := offer(outbound)
	before := reached()
	if limit := bits/8*int(period.Seconds()+1) + 2*int(burst(bits/8)); before > limit {
		t.Errorf("%d bytes at once, at most %d were to pass", before, limit)
	}
	offered := offer(outbound)
	within("sent", reached()-before, offered)
	if arrived := reached(); arrived < first+offered && w.dropped(t, g.tap.VM, DroppedBandwidth) == 0 {
		t.Errorf("%d bytes of %d arrived, and nothing was dropped", arrived, first+offered)
	}

	from, _ := public.heard(payload[:64])
	g.mu.Lock()
	g.bytes = 0
	g.mu.Unlock()
	offered = offer(func() { public.say(t, from, payload) })
	g.mu.Lock()
	received := g.bytes
	g.mu.Unlock()
	within("received", received, offered)

	// libvirt takes the token bucket away when it opens a tap.
	w.run(t, w.host, "tc", "qdisc", "replace", "dev", g.tap.Name, "root", "noqueue")
	w.ensure(t, vmID(1), "alice", bits)
	if q := w.run(t, w.host, "tc", "qdisc", "show", "dev", g.tap.Name); !strings.Contains(q, "tbf") {
		t.Errorf("ensured again there is no token bucket: %s", q)
	}

	// A change of plan takes effect on the tap that is there, and off is off.
	tap := w.ensure(t, vmID(1), "alice", 0)
	if tap.Name != g.tap.Name || tap.BitsPerSec != 0 {
		t.Errorf("without a cap the tap is %+v", tap)
	}
	if q := w.run(t, w.host, "tc", "qdisc", "show", "dev", tap.Name); strings.Contains(q, "tbf") {
		t.Errorf("the token bucket stays: %s", q)
	}
	if rules := w.run(t, w.host, "nft", "list", "ruleset"); strings.Contains(rules, "limit rate") {
		t.Errorf("the limit stays: %s", rules)
	}
}

// TestConnections has a VM open more than it may: the rest is dropped, its
// neighbours and what it has open are not disturbed, and what ends makes room.
func TestConnections(t *testing.T) {
	w := newWorld(t)
	w.cfg.Connections = 5
	w.open(t)
	a, b := w.boot(t, w.ensure(t, vmID(1), "alice", 0)), w.boot(t, w.ensure(t, vmID(2), "bob", 0))
	public := w.ear(t, w.beyond, publicAddr+":5000")
	heard := func(what string) { testkit.Until(t, what, func() bool { _, ok := public.heard(what); return ok }) }
	a.send(t, 1000, publicAddr+":5000", "a0")
	heard("a0")
	from, _ := public.heard("a0")
	public.say(t, from, "welcome") // what was answered is open
	testkit.Until(t, "the answer", func() bool { return a.hears("welcome") })
	for port := uint16(1); port < 20; port++ {
		a.send(t, 1000+port, publicAddr+":5000", fmt.Sprintf("a%d", port))
	}
	testkit.Until(t, "the counter", func() bool { return w.dropped(t, "", DroppedConnections) >= 15 })
	for port := range 5 {
		heard(fmt.Sprintf("a%d", port))
	}
	for port := range 20 {
		if _, ok := public.heard(fmt.Sprintf("a%d", port)); ok != (port < 5) {
			t.Errorf("connection %d of a VM with room for 5: heard is %v", port, ok)
		}
	}
	a.send(t, 1000, publicAddr+":5000", "on what is open")
	heard("on what is open")
	b.send(t, 1000, publicAddr+":5000", "the neighbour's")
	heard("the neighbour's")

	// They end: the kernel forgets them, here by our hand, else by its clock.
	testkit.Check(t, w.host.Do(func() error { return forgetFlows(a.tap.Guest.Addr()) }))
	testkit.Until(t, "room", func() bool {
		a.send(t, 3000, publicAddr+":5000", "anew")
		_, ok := public.heard("anew")
		return ok
	})

	// Of a VM that is gone nothing is counted.
	counted := func() bool {
		return strings.Contains(w.run(t, w.host, "nft", "list", "set", "inet", w.net.table().Name, setConnections), a.tap.Guest.Addr().String())
	}
	if !counted() {
		t.Error("nothing is counted of a VM with connections")
	}
	testkit.Check(t, w.host.Do(func() error { return w.net.Remove(t.Context(), vmID(1)) }))
	if counted() {
		t.Error("the count of a VM that is gone stays")
	}
}

// TestNothingIsLeft compares the host before and after, with another miner and
// a firewall of the host's own beside it.
func TestNothingIsLeft(t *testing.T) {
	w := newWorld(t)
	testkit.Check(t, w.host.Do(func() error { return w.net.Teardown(t.Context()) }))
	w.run(t, w.host, "nft", "add table inet hosts_own; add chain inet hosts_own c { type filter hook forward priority 0; policy accept; }")
	var other *Network
	cfg := w.cfg
	cfg.Tag, cfg.Pool = "t2", netip.MustParsePrefix("10.91.0.0/16")
	testkit.Check(t, w.host.Do(func() (err error) {
		other, err = New(t.Context(), cfg)
		if err != nil {
			return err
		}
		_, err = other.Ensure(t.Context(), Attachment{VM: vmID(9), Tenant: "zoe", BitsPerSec: 1e6})
		return err
	}))
	state := func() string {
		return w.run(t, w.host, "bash", "-c", "ip -o link; ip -o addr; ip route; nft list ruleset; tc qdisc")
	}
	before := state()
	w.open(t)
	w.ensure(t, vmID(1), "alice", 5e6)
	w.ensure(t, vmID(2), "bob", 0)
	// A crash between making a tap and naming it.
	orphan := w.net.prefix() + "00abcd"
	w.run(t, w.host, "ip", "tuntap", "add", orphan, "mode", "tap")
	w.ensure(t, vmID(3), "bob", 0)
	if links := w.run(t, w.host, "ip", "-o", "link"); strings.Contains(links, orphan) {
		t.Errorf("the unnamed tap stays: %s", links)
	}
	if state() == before {
		t.Fatal("three VMs made no difference")
	}
	var bobs Tap
	testkit.Check(t, w.host.Do(func() error {
		taps, err := w.net.List(t.Context())
		bobs = taps[slices.IndexFunc(taps, func(t Tap) bool { return t.VM == vmID(2) })]
		return errors.Join(err, w.net.Remove(t.Context(), vmID(2)))
	}))
	if after := state(); strings.Contains(after, bobs.Name) {
		t.Errorf("a VM's removal left some of %s:\n%s", bobs.Name, after)
	}
	testkit.Check(t, w.host.Do(func() error { return w.net.Teardown(t.Context()) }))
	testkit.Check(t, w.host.Do(func() error { return w.net.Teardown(t.Context()) }))
	if after := state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	testkit.Check(t, w.host.Do(func() error { return other.Teardown(t.Context()) }))
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	good := Attachment{VM: vmID(1), Tenant: "alice", BitsPerSec: 1e6}
	bad := make([]Attachment, 6)
	for i := range bad {
		bad[i] = good
	}
	bad[0].VM = "../../x"
	bad[1].VM = strings.ToUpper(strings.Repeat("a", 32))
	bad[2].Tenant = ""
	bad[3].Tenant = "two words"
	bad[4].Tenant = strings.Repeat("x", 101)
	bad[5].BitsPerSec = 10
	for i, a := range bad {
		if err := w.host.Do(func() error { _, err := w.net.Ensure(t.Context(), a); return err }); err == nil {
			t.Errorf("attachment %d was made: %+v", i, a)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.host.Do(func() error { _, err := w.net.Ensure(gone, good); return err }); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if links := w.run(t, w.host, "ip", "-o", "link"); strings.Contains(links, w.net.prefix()) {
		t.Errorf("a refusal left a tap: %s", links)
	}
}
