package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/internal/testkit"
)

// battlefield is a host with three VMs: the attacker, another of its
// tenant and a stranger's. Nothing that the attacker sends may be seen at the
// far end of the uplink, by the stranger or by any service of the host, but
// what the tests send as an honest VM would.
type battlefield struct {
	*world
	evil, sister, stranger *guest
	wire                   *uplinkWire
	public                 *ear
}

func newBattlefield(t *testing.T) *battlefield {
	t.Helper()
	w := newWorld(t)
	f := &battlefield{
		world:    w,
		evil:     w.boot(t, w.ensure(t, vmID(1), "mallory", 0)),
		sister:   w.boot(t, w.ensure(t, vmID(2), "mallory", 0)),
		stranger: w.boot(t, w.ensure(t, vmID(3), "alice", 0)),
		public:   w.ear(t, w.beyond, publicAddr+":5000"),
	}
	f.wire = w.watch(t)
	return f
}

// stopped sends and waits until the rule that is to stop it has counted it.
func (f *battlefield) stopped(t *testing.T, vm, why string, frame []byte) {
	t.Helper()
	before := f.dropped(t, vm, why)
	testkit.Check(t, f.evil.write(frame))
	testkit.Until(t, "the counter of "+why, func() bool { return f.dropped(t, vm, why) > before })
}

// allStopped sends a whole salvo and waits until the rule has counted each.
func (f *battlefield) allStopped(t *testing.T, why string, frames [][]byte) {
	t.Helper()
	before := f.dropped(t, "", why)
	for _, frame := range frames {
		testkit.Check(t, f.evil.write(frame))
	}
	testkit.Until(t, fmt.Sprintf("%d more in the counter of %s", len(frames), why), func() bool {
		return f.dropped(t, "", why) >= before+uint64(len(frames))
	})
}

// honest proves that the attacker's VM, used as it should be, is served
// still, and with that that all it sent before has been dealt with.
func (f *battlefield) honest(t *testing.T, word string) {
	t.Helper()
	f.evil.send(t, 1111, publicAddr+":5000", word)
	testkit.Until(t, "the honest datagram", func() bool { _, ok := f.public.heard(word); return ok })
}

// quiet fails if anything but the honest datagrams went anywhere.
func (f *battlefield) quiet(t *testing.T) {
	t.Helper()
	f.honest(t, t.Name())
	for _, seen := range f.wire.all() {
		if seen != publicAddr {
			t.Errorf("a packet for %s left the host", seen)
		}
	}
	for who, g := range map[string]*guest{"the stranger": f.stranger, "the sister": f.sister} {
		g.mu.Lock()
		if len(g.heard) > 0 {
			t.Errorf("%s heard %q", who, g.heard)
		}
		g.mu.Unlock()
	}
}

// ip wraps a packet from the attacker itself.
func (f *battlefield) ip(proto byte, to string, payload []byte) []byte {
	return ethernetFrame(f.evil.hostMAC, f.evil.mac(), unix.ETH_P_IP, ipv4Packet(proto, f.evil.tap.Guest.Addr(), netip.MustParseAddr(to), payload))
}

// at are packets to ports of an address, and those of protocols without any.
func (f *battlefield) at(to string, ports ...uint16) [][]byte {
	me, addr := f.evil.tap.Guest.Addr(), netip.MustParseAddr(to)
	all := [][]byte{
		f.ip(unix.IPPROTO_ICMP, to, ping()),
		f.ip(unix.IPPROTO_GRE, to, make([]byte, 16)),
		f.ip(unix.IPPROTO_IPIP, to, ipv4Packet(unix.IPPROTO_UDP, me, addr, udp(3333, 22, []byte("attack")))),
		f.ip(unix.IPPROTO_SCTP, to, make([]byte, 32)),
	}
	for _, port := range ports {
		all = append(all,
			f.ip(unix.IPPROTO_TCP, to, syn(me, addr, 3333, port)),
			f.ip(unix.IPPROTO_UDP, to, udp(3333, port, []byte("attack"))))
	}
	return all
}

func ping() []byte {
	b := []byte{8, 0, 0, 0, 0, 7, 0, 1, 'a', 't', 't', 'a', 'c', 'k', '!', '!'}
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// A VM tries every service of its host, at every address the host has.
func TestAttackOnTheHost(t *testing.T) {
	f := newBattlefield(t)
	ports := []uint16{
		22, 53, 67, 111, 2049, // what a host runs
		7430, 9466, // the miner's own: for tenants, and its metrics
		16509, 16514, 5900, 49152, // libvirt, VNC, migration
		4242, 26657, 9090, // mesh, chain node
	}
	var reached sync.Map
	for _, port := range ports {
		f.listen(t, port, &reached)
	}
	addrs := map[string]string{
		"its own gateway":       f.evil.tap.Host.Addr().String(),
		"another's gateway":     f.stranger.tap.Host.Addr().String(),
		"the host's uplink":     uplinkAddr,
		"its own broadcast":     f.evil.tap.Guest.Addr().Next().String(),
		"everyone":              "255.255.255.255",
		"all hosts (multicast)": "224.0.0.1",
	}
	for name, addr := range addrs {
		t.Run(name, func(t *testing.T) { f.allStopped(t, DroppedHost, f.at(addr, ports...)) })
	}
	// The kernel takes these for what they are before any rule sees them.
	for _, frame := range f.at("127.0.0.1", ports...) {
		testkit.Check(t, f.evil.write(frame))
	}
	f.quiet(t)
	reached.Range(func(what, _ any) bool {
		t.Errorf("the host's service was reached: %s", what)
		return true
	})
	if f.evil.hears("") {
		t.Errorf("the host answered: %q", f.evil.heard)
	}
}

// listen serves TCP and UDP on a port of the host, at every address.
func (f *battlefield) listen(t *testing.T, port uint16, reached *sync.Map) {
	t.Helper()
	var l net.Listener
	var p net.PacketConn
	at := fmt.Sprintf("0.0.0.0:%d", port)
	testkit.Check(t, f.host.Do(func() (err error) {
		if l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp4", at); err != nil {
			return err
		}
		p, err = (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", at)
		return err
	}))
	var both sync.WaitGroup
	both.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			reached.Store("tcp "+at+" by "+c.RemoteAddr().String(), true)
			_ = c.Close()
		}
	})
	both.Go(func() {
		for {
			_, from, err := p.ReadFrom(make([]byte, 64))
			if err != nil {
				return
			}
			reached.Store("udp "+at+" by "+from.String(), true)
		}
	})
	t.Cleanup(func() {
		_, _ = l.Close(), p.Close()
		both.Wait()
	})
}

// A VM tries what only its miner should reach: every range that is not
// the public internet, and where clouds keep the secrets of a rented host.
func TestAttackOnTheMinersNetworks(t *testing.T) {
	f := newBattlefield(t)
	for _, addr := range []string{
		"10.0.0.1", "10.90.255.254", "172.16.0.1", "172.17.0.2", "172.31.255.254", "192.168.0.1", "192.168.77.1", "192.168.76.1",
		"100.64.0.1", "100.127.0.1", "0.1.2.3", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.9", "240.0.0.1", // 127/8: see above
		"169.254.169.254", "169.254.170.2", // AWS and most others; its containers
		"100.100.100.200", "192.0.0.192", // Alibaba; Oracle
		"168.63.129.16", // Azure
	} {
		t.Run(addr, func(t *testing.T) { f.allStopped(t, DroppedPrivate, f.at(addr, 22, 53, 80)) })
	}
	f.quiet(t)
}

// The operator of a lighthouse registers endpoints inside miners' networks, to
// have their VMs sent there.
func TestAttackByALighthousesAddress(t *testing.T) {
	f := newBattlefield(t)
	good := netip.MustParseAddrPort(privateAddr + ":4242")
	hostile := []string{"192.168.76.1:53", "10.0.0.5:161", "169.254.169.254:80", "127.0.0.1:53", "255.255.255.255:67", "168.63.129.16:53"}
	ends := []netip.AddrPort{good}
	for _, h := range hostile {
		ends = append(ends, netip.MustParseAddrPort(h))
	}
	testkit.Check(t, f.host.Do(func() error { return f.net.SetLighthouses(ends) }))
	open := f.net.Lighthouses()
	if !slices.Equal(open, []netip.AddrPort{good}) {
		t.Errorf("open are %v; want %v alone", open, good)
	}
	for _, end := range ends[1:4] {
		f.allStopped(t, DroppedPrivate, f.at(end.Addr().String(), end.Port()))
	}
	f.quiet(t)
}

// A VM tries the other VMs of its host past the mesh.
func TestAttackOnNeighbours(t *testing.T) {
	f := newBattlefield(t)
	for name, g := range map[string]*guest{"a stranger's": f.stranger, "its own tenant's": f.sister} {
		t.Run(name, func(t *testing.T) {
			to := g.tap.Guest.Addr().String()
			f.allStopped(t, DroppedNeighbour, f.at(to, 22, 80, meshPort, meshPort+1))
			// A datagram between the mesh's ports whose header lies in a fragment of its own.
			if g == f.stranger {
				for _, frame := range fragments(f.ip(unix.IPPROTO_UDP, to, udp(meshPort, meshPort, make([]byte, 64)))) {
					testkit.Check(t, f.evil.write(frame))
				}
				f.stopped(t, "", DroppedNeighbour, f.ip(unix.IPPROTO_UDP, to, udp(meshPort, meshPort, []byte("mesh"))))
			}
		})
	}
	t.Run("at their own door", func(t *testing.T) {
		// Frames for the neighbour's MAC, and by way of the host with a source route.
		victim := f.stranger
		packet := f.ip(unix.IPPROTO_UDP, victim.tap.Guest.Addr().String(), udp(meshPort, meshPort, []byte("x")))
		copy(packet, victim.mac())
		testkit.Check(t, f.evil.write(packet))
		testkit.Check(t, f.evil.write(sourceRouted(f.evil, victim.tap.Guest.Addr())))
	})
	f.quiet(t)
}

// fragments cuts a frame's packet after the first eight bytes of its payload.
func fragments(frame []byte) [][]byte {
	const header = 14 + 20
	cut := func(from, to int, offset uint16) []byte {
		part := append(slices.Clone(frame[:header]), frame[from:to]...)
		h := part[14:header]
		binary.BigEndian.PutUint16(h[2:], uint16(20+to-from))
		binary.BigEndian.PutUint16(h[4:], 77)
		binary.BigEndian.PutUint16(h[6:], offset)
		h[10], h[11] = 0, 0
		binary.BigEndian.PutUint16(h[10:], checksum(h))
		return part
	}
	return [][]byte{cut(header, header+8, 0x2000), cut(header+8, len(frame), 1)}
}

// sourceRouted asks the host to pass a packet on to an address.
func sourceRouted(g *guest, to netip.Addr) []byte {
	h := make([]byte, 28)
	h[0], h[8], h[9] = 0x47, 64, unix.IPPROTO_UDP
	payload := udp(meshPort, meshPort, []byte("routed"))
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(payload)))
	copy(h[12:], g.tap.Guest.Addr().AsSlice())
	copy(h[16:], g.tap.Host.Addr().AsSlice())
	h[20], h[21], h[22] = 131, 7, 4 // loose source route
	copy(h[23:], to.AsSlice())
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return ethernetFrame(g.hostMAC, g.mac(), unix.ETH_P_IP, append(h, payload...))
}

// A VM speaks as somebody else, on every layer.
func TestAttackUnderAnothersName(t *testing.T) {
	f := newBattlefield(t)
	g := f.evil
	mac, me := g.mac(), g.tap.Guest.Addr()
	broadcast := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	far := netip.MustParseAddr(publicAddr)
	from := func(source netip.Addr) []byte {
		return ethernetFrame(g.hostMAC, mac, unix.ETH_P_IP, ipv4Packet(unix.IPPROTO_UDP, source, far, udp(1, 5000, []byte("spoofed"))))
	}
	as := func(source net.HardwareAddr) []byte {
		return ethernetFrame(g.hostMAC, source, unix.ETH_P_IP, ipv4Packet(unix.IPPROTO_UDP, me, far, udp(1, 5000, []byte("spoofed"))))
	}
	claims := func(op uint16, m net.HardwareAddr, a netip.Addr) []byte {
		return ethernetFrame(broadcast, mac, unix.ETH_P_ARP, arp(op, m, a, broadcast, a))
	}
	frames := map[string][]byte{
		"MAC of a neighbour":   as(f.stranger.mac()),
		"MAC of the host":      as(g.hostMAC),
		"MAC of a group":       as(net.HardwareAddr{1, 0, 0x5e, 0, 0, 1}),
		"MAC of nobody":        as(make(net.HardwareAddr, 6)),
		"IPv4 of a neighbour":  from(f.stranger.tap.Guest.Addr()),
		"IPv4 of its gateway":  from(g.tap.Host.Addr()),
		"IPv4 of the host":     from(netip.MustParseAddr(uplinkAddr)),
		"IPv4 of the next one": from(me.Next()),
		"IPv4 of the internet": from(netip.MustParseAddr("8.8.8.8")),
		"IPv4 of loopback":     from(netip.MustParseAddr("127.0.0.1")),
		"IPv4 of everyone":     from(netip.MustParseAddr("255.255.255.255")),
		"ARP for the gateway":  claims(2, mac, g.tap.Host.Addr()),
		"ARP for a neighbour":  claims(2, mac, f.stranger.tap.Guest.Addr()),
		"ARP asking as other":  claims(1, mac, f.stranger.tap.Guest.Addr()),
		"ARP with other MAC":   claims(2, f.stranger.mac(), me),
		"ARP of a probe":       claims(1, mac, netip.IPv4Unspecified()),
		"reverse ARP":          ethernetFrame(broadcast, mac, 0x8035, arp(3, mac, me, mac, me)),
		"a VLAN":               ethernetFrame(g.hostMAC, mac, unix.ETH_P_8021Q, append([]byte{0, 1, 8, 0}, from(me)[14:]...)),
		"a VLAN in a VLAN":     ethernetFrame(g.hostMAC, mac, unix.ETH_P_8021AD, append([]byte{0, 1, 0x81, 0, 0, 1, 8, 0}, from(me)[14:]...)),
		"a switch (STP)":       ethernetFrame(net.HardwareAddr{1, 0x80, 0xc2, 0, 0, 0}, mac, 38, make([]byte, 46)),
		"a switch (LLDP)":      ethernetFrame(net.HardwareAddr{1, 0x80, 0xc2, 0, 0, 0x0e}, mac, 0x88cc, make([]byte, 46)),
		"PPPoE":                ethernetFrame(broadcast, mac, 0x8863, make([]byte, 46)),
		"MPLS":                 ethernetFrame(g.hostMAC, mac, 0x8847, append([]byte{0, 0, 1, 64}, from(me)[14:]...)),
		"DHCP as a new client": ethernetFrame(broadcast, mac, unix.ETH_P_IP, ipv4Packet(unix.IPPROTO_UDP, netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255"), udp(68, 67, dhcp(1, mac)))),
	}
	for name, packet := range ipv6Attacks(mac) {
		frames[name] = ethernetFrame(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, mac, unix.ETH_P_IPV6, packet)
	}
	state := func() string {
		return f.run(t, f.host, "bash", "-c", "ip -o addr; ip route; ip -6 -o addr; ip -6 route; ip rule")
	}
	before := state()
	for name, frame := range frames {
		t.Run(name, func(t *testing.T) { f.stopped(t, g.tap.VM, DroppedSpoofed, frame) })
	}
	t.Run("DHCP as a server", func(t *testing.T) {
		offer := udp(67, 68, dhcp(2, f.stranger.mac()))
		f.stopped(t, "", DroppedHost, f.ip(unix.IPPROTO_UDP, "255.255.255.255", offer))
		f.stopped(t, "", DroppedHost, f.ip(unix.IPPROTO_UDP, g.tap.Host.Addr().String(), offer))
		f.stopped(t, "", DroppedNeighbour, f.ip(unix.IPPROTO_UDP, f.stranger.tap.Guest.Addr().String(), offer))
	})
	f.quiet(t)
	if after := state(); after != before {
		t.Errorf("the host's addresses and routes were\n%s\nand are\n%s", before, after)
	}
	f.neighboursTrue(t)
	if n := f.dropped(t, f.stranger.tap.VM, DroppedSpoofed); n != 0 {
		t.Errorf("%d were counted as the stranger's", n)
	}
}

// neighboursTrue fails unless the host knows each VM by its own MAC and
// nobody else behind a tap.
func (f *battlefield) neighboursTrue(t *testing.T) {
	t.Helper()
	true4 := map[string]string{}
	for _, g := range []*guest{f.evil, f.sister, f.stranger} {
		true4[g.tap.Guest.Addr().String()] = g.tap.MAC
	}
	for line := range strings.Lines(f.run(t, f.host, "ip", "neigh", "show")) {
		words := strings.Fields(line)
		if i := slices.Index(words, "lladdr"); i > 0 && strings.Contains(line, f.net.prefix()) && true4[words[0]] != words[i+1] {
			t.Errorf("the host believes that %s", line)
		}
	}
}

func dhcp(kind byte, client net.HardwareAddr) []byte {
	b := make([]byte, 240)
	b[0], b[1], b[2] = kind, 1, 6
	copy(b[28:], client)
	copy(b[236:], []byte{99, 130, 83, 99})
	return append(b, 53, 1, kind, 255)
}

// ipv6Attacks are packets with which a VM could give its host addresses,
// routes and neighbours of its choice.
func ipv6Attacks(mac net.HardwareAddr) map[string][]byte {
	self := netip.MustParseAddr("fe80::bad")
	all := netip.MustParseAddr("ff02::1")
	packet := func(next byte, payload []byte) []byte {
		b := []byte{0x60, 0, 0, 0}
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
		b = append(append(append(b, next, 255), self.AsSlice()...), all.AsSlice()...)
		if next == unix.IPPROTO_ICMPV6 {
			pseudo := append(append([]byte{}, self.AsSlice()...), all.AsSlice()...)
			pseudo = append(pseudo, 0, 0, byte(len(payload)>>8), byte(len(payload)), 0, 0, 0, next)
			binary.BigEndian.PutUint16(payload[2:], checksum(pseudo, payload))
		}
		return append(b, payload...)
	}
	target := netip.MustParseAddr("2001:db8::1").AsSlice()
	own := append([]byte{1, 1}, mac...)
	theirs := append([]byte{2, 1}, mac...)
	router := []byte{134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}
	router = append(append(router, own...), 3, 4, 64, 0xc0, 0, 0, 7, 8, 0, 0, 7, 8, 0, 0, 0, 0)
	router = append(router, netip.MustParseAddr("2001:db8::").AsSlice()...)
	return map[string][]byte{
		"IPv6 router":       packet(unix.IPPROTO_ICMPV6, router),
		"IPv6 neighbour":    packet(unix.IPPROTO_ICMPV6, slices.Concat([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, target, theirs)),
		"IPv6 solicitation": packet(unix.IPPROTO_ICMPV6, slices.Concat([]byte{135, 0, 0, 0, 0, 0, 0, 0}, target, own)),
		"IPv6 redirect":     packet(unix.IPPROTO_ICMPV6, slices.Concat([]byte{137, 0, 0, 0, 0, 0, 0, 0}, target, target)),
		"IPv6 group":        packet(unix.IPPROTO_ICMPV6, slices.Concat([]byte{131, 0, 0, 0, 0, 0, 0, 0}, target)),
		"IPv6 DHCP":         packet(unix.IPPROTO_UDP, udp(547, 546, make([]byte, 16))),
		"IPv6 to the host":  packet(unix.IPPROTO_TCP, make([]byte, 20)),
	}
}

// TestNoIPv6AtTaps is the second wall behind the one above: were IPv6 let
// through, there would be nobody at the host's end.
func TestNoIPv6AtTaps(t *testing.T) {
	f := newBattlefield(t)
	// As on a host where IPv6 is on for whatever interface comes.
	got := f.run(t, f.host, "cat", "/proc/sys/net/ipv6/conf/"+f.evil.tap.Name+"/disable_ipv6")
	if strings.TrimSpace(got) != "1" {
		t.Errorf("IPv6 at the tap: disable_ipv6 is %s", got)
	}
	if addrs := f.run(t, f.host, "ip", "-6", "-o", "addr", "show", "dev", f.evil.tap.Name); addrs != "" {
		t.Errorf("the host's end has %s", addrs)
	}
}

// A VM sends as fast as it can what nobody should have to remember:
// clients, MACs, addresses, all its neighbours' and of the whole pool.
func TestAttackByFlood(t *testing.T) {
	f := newBattlefield(t)
	g := f.evil
	broadcast := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	everyone := netip.MustParseAddr("255.255.255.255")
	const n = 4000
	for i := range n {
		other := net.HardwareAddr{0x52, 0x54, 9, 9, byte(i >> 8), byte(i)}
		someone := netip.AddrFrom4([4]byte{10, 90, byte(i >> 8), byte(i)})
		for _, frame := range [][]byte{
			ethernetFrame(broadcast, other, unix.ETH_P_IP, ipv4Packet(unix.IPPROTO_UDP, netip.IPv4Unspecified(), everyone, udp(68, 67, dhcp(1, other)))),
			ethernetFrame(broadcast, g.mac(), unix.ETH_P_ARP, arp(1, g.mac(), someone, broadcast, g.tap.Host.Addr())),
			ethernetFrame(broadcast, g.mac(), unix.ETH_P_ARP, arp(1, g.mac(), g.tap.Guest.Addr(), broadcast, someone)),
			f.ip(unix.IPPROTO_UDP, someone.String(), udp(1, 9, nil)),
		} {
			if err := g.write(frame); err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EAGAIN) {
				t.Fatal(err)
			}
		}
	}
	f.quiet(t)
	f.stranger.send(t, 1111, publicAddr+":5000", "the stranger")
	testkit.Until(t, "the stranger's datagram", func() bool { _, ok := f.public.heard("the stranger"); return ok })
	f.neighboursTrue(t)
	known := strings.Count(f.run(t, f.host, "ip", "neigh", "show"), "\n")
	t.Logf("%d frames, and the host remembers %d neighbours", 4*n, known)
	if known > 20 {
		t.Errorf("the host remembers %d neighbours", known)
	}
	flows := f.run(t, f.host, "bash", "-c", "cat /proc/sys/net/netfilter/nf_conntrack_count 2>/dev/null || echo 0")
	t.Logf("connections tracked: %s", strings.TrimSpace(flows))
}
