package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/internal/netlab"
	"github.com/hippius/compute/internal/testkit"
)

// world is a miner's host and what lies beyond its uplink.
type world struct {
	host, beyond *netlab.Lab
	net          *Network
	cfg          Config
}

// Beyond the uplink there is a public address and a private network, and the
// host's own.
const (
	publicAddr  = "93.184.216.34"
	privateAddr = "192.168.77.1"
	uplinkAddr  = "192.168.76.2"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("makes taps and rules in namespaces of its own: as root, in CI and in `sudo make test`")
	}
	w := &world{}
	for _, l := range []struct {
		name string
		lab  **netlab.Lab
	}{{"t-net-host", &w.host}, {"t-net-far", &w.beyond}} {
		lab, err := netlab.New(t.Context(), l.name, netlab.Options{})
		testkit.Check(t, err)
		t.Cleanup(func() { testkit.Check(t, lab.Close()) })
		*l.lab = lab
	}
	// Addresses that are being tried would change while the tests look.
	w.run(t, w.host, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad || true")
	testkit.Check(t, netlab.Connect(
		netlab.End{Lab: w.host, Name: "uplink", Addr: netip.MustParsePrefix(uplinkAddr + "/30")},
		netlab.End{Lab: w.beyond, Name: "downlink", Addr: netip.MustParsePrefix("192.168.76.1/30")},
	))
	testkit.Check(t, w.host.Route(netip.Prefix{}, netip.MustParseAddr("192.168.76.1")))
	w.run(t, w.beyond, "ip", "address", "add", publicAddr+"/32", "dev", "lo")
	w.run(t, w.beyond, "ip", "address", "add", privateAddr+"/32", "dev", "lo")
	w.cfg = testConfig()
	w.cfg.LighthouseNets = []netip.Prefix{netip.MustParsePrefix(privateAddr + "/32"), netip.MustParsePrefix("198.51.100.0/24")}
	w.open(t)
	return w
}

// open makes a Network on whatever is there, as a restarted miner does.
func (w *world) open(t *testing.T) {
	t.Helper()
	testkit.Check(t, w.host.Do(func() (err error) {
		w.net, err = New(t.Context(), w.cfg)
		return err
	}))
}

func (w *world) run(t *testing.T, lab *netlab.Lab, argv ...string) string {
	t.Helper()
	out, err := lab.Command(t.Context(), argv...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
	return string(out)
}

func (w *world) ensure(t *testing.T, vm, tenant string, bits uint64) Tap {
	t.Helper()
	var tap Tap
	testkit.Check(t, w.host.Do(func() (err error) {
		tap, err = w.net.Ensure(t.Context(), Attachment{VM: vm, Tenant: tenant, BitsPerSec: bits})
		return err
	}))
	return tap
}

func (w *world) dropped(t *testing.T, vm, why string) uint64 {
	t.Helper()
	var counts map[string]uint64
	testkit.Check(t, w.host.Do(func() (err error) {
		counts, err = w.net.Dropped(context.Background(), vm)
		return err
	}))
	return counts[why]
}

// guest is the far side of a tap: it answers ARP, sends what it is told, and
// remembers what it hears.
type guest struct {
	tap     Tap
	file    *os.File
	hostMAC net.HardwareAddr

	mu    sync.Mutex
	heard []string // "udp source:port>port payload", "tcp source:port>port flags", "protocol 1 from source"
	bytes int
}

const virtioHeader = 10 // precedes each frame on a tap that is opened so

func (w *world) boot(t *testing.T, tap Tap) *guest {
	t.Helper()
	g := &guest{tap: tap}
	testkit.Check(t, w.host.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		req, err := unix.NewIfreq(tap.Name)
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		g.file = os.NewFile(uintptr(fd), tap.Name)
		link, err := net.InterfaceByName(tap.Name)
		if err == nil {
			g.hostMAC = link.HardwareAddr
		}
		return err
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.listen()
	}()
	t.Cleanup(func() {
		_ = g.file.Close()
		<-done
	})
	return g
}

func (g *guest) mac() net.HardwareAddr { return MAC(g.tap.VM) }

func (g *guest) write(frame []byte) error {
	_, err := g.file.Write(append(make([]byte, virtioHeader), frame...))
	return err
}

func ethernetFrame(to, from net.HardwareAddr, kind uint16, payload []byte) []byte {
	frame := append(append([]byte{}, to...), from...)
	return append(binary.BigEndian.AppendUint16(frame, kind), payload...)
}

func ipv4Packet(proto byte, from, to netip.Addr, payload []byte) []byte {
	h := make([]byte, 20)
	h[0], h[8], h[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(payload)))
	copy(h[12:], from.AsSlice())
	copy(h[16:], to.AsSlice())
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return append(h, payload...)
}

func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for i := 0; i < len(b); i += 2 {
			word := uint32(b[i]) << 8
			if i+1 < len(b) {
				word |= uint32(b[i+1])
			}
			sum += word
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// udp makes a datagram without a checksum, which IPv4 allows.
func udp(from, to uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// syn makes the first packet of a TCP connection.
func syn(fromAddr, toAddr netip.Addr, from, to uint16) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	b[12], b[13] = 5<<4, 2
	binary.BigEndian.PutUint16(b[14:], 1024)
	pseudo := append(append([]byte{}, fromAddr.AsSlice()...), toAddr.AsSlice()...)
	pseudo = append(pseudo, 0, unix.IPPROTO_TCP, 0, 20)
	binary.BigEndian.PutUint16(b[16:], checksum(pseudo, b))
	return b
}

// send sends a datagram as itself.
func (g *guest) send(t *testing.T, from uint16, to string, payload string) {
	t.Helper()
	end := netip.MustParseAddrPort(to)
	packet := ipv4Packet(unix.IPPROTO_UDP, g.tap.Guest.Addr(), end.Addr(), udp(from, end.Port(), []byte(payload)))
	testkit.Check(t, g.write(ethernetFrame(g.hostMAC, g.mac(), unix.ETH_P_IP, packet)))
}

func (g *guest) sendSYN(t *testing.T, from uint16, to string) {
	t.Helper()
	end := netip.MustParseAddrPort(to)
	me := g.tap.Guest.Addr()
	packet := ipv4Packet(unix.IPPROTO_TCP, me, end.Addr(), syn(me, end.Addr(), from, end.Port()))
	testkit.Check(t, g.write(ethernetFrame(g.hostMAC, g.mac(), unix.ETH_P_IP, packet)))
}

func arp(op uint16, senderMAC net.HardwareAddr, sender netip.Addr, targetMAC net.HardwareAddr, target netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4}
	b = binary.BigEndian.AppendUint16(b, op)
	b = append(append(b, senderMAC...), sender.AsSlice()...)
	return append(append(b, targetMAC...), target.AsSlice()...)
}

func (g *guest) listen() {
	buf := make([]byte, 1<<16)
	for {
		n, err := g.file.Read(buf)
		if err != nil {
			return
		}
		if n < virtioHeader+14 {
			continue
		}
		frame := buf[virtioHeader:n]
		switch binary.BigEndian.Uint16(frame[12:]) {
		case unix.ETH_P_ARP:
			asked, _ := netip.AddrFromSlice(frame[38:42])
			if asked == g.tap.Guest.Addr() && frame[21] == 1 {
				asker, _ := netip.AddrFromSlice(frame[28:32])
				_ = g.write(ethernetFrame(frame[6:12], g.mac(), unix.ETH_P_ARP, arp(2, g.mac(), asked, frame[22:28], asker)))
			}
		case unix.ETH_P_IP:
			g.note(frame[14:])
		}
	}
}

func (g *guest) note(packet []byte) {
	if len(packet) < 28 {
		return
	}
	from, _ := netip.AddrFromSlice(packet[12:16])
	rest := packet[20:]
	ports := fmt.Sprintf("%s:%d>%d", from, binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:]))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bytes += len(packet)
	switch packet[9] {
	case unix.IPPROTO_UDP:
		length := int(binary.BigEndian.Uint16(rest[4:]))
		g.heard = append(g.heard, "udp "+ports+" "+string(rest[8:max(8, min(length, len(rest)))]))
	case unix.IPPROTO_TCP:
		g.heard = append(g.heard, fmt.Sprintf("tcp %s %#x", ports, rest[13]))
	default:
		g.heard = append(g.heard, fmt.Sprintf("protocol %d from %s", packet[9], from))
	}
}

func (g *guest) hears(what string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.heard {
		if strings.Contains(h, what) {
			return true
		}
	}
	return false
}

// ear is a UDP socket that remembers what it hears, and from whom.
type ear struct {
	conn net.PacketConn

	mu    sync.Mutex
	from  map[string]netip.AddrPort
	bytes int
}

func (w *world) ear(t *testing.T, lab *netlab.Lab, at string) *ear {
	t.Helper()
	e := &ear{from: make(map[string]netip.AddrPort)}
	testkit.Check(t, lab.Do(func() (err error) {
		e.conn, err = (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", at)
		return err
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			n, from, err := e.conn.ReadFrom(buf)
			if err != nil {
				return
			}
			e.mu.Lock()
			e.from[string(buf[:min(n, 64)])] = netip.MustParseAddrPort(from.String())
			e.bytes += n
			e.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = e.conn.Close()
		<-done
	})
	return e
}

func (e *ear) heard(what string) (netip.AddrPort, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	from, ok := e.from[what]
	return from, ok
}

func (e *ear) say(t *testing.T, to netip.AddrPort, what string) {
	t.Helper()
	_, err := e.conn.WriteTo([]byte(what), net.UDPAddrFromAddrPort(to))
	testkit.Check(t, err)
}
