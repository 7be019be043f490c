package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// End is one end of a cable.
type End struct {
	Lab  *Lab         // nil for the network of this process
	Name string       // of the interface, at most 15 bytes, free in that network
	Addr netip.Prefix // given to it; the zero value for none
}

// Connect lays a cable (a veth pair) between two networks and switches both
// ends on. Each lab's end goes with the lab, and the other end with it.
func Connect(a, b End) error {
	ha, err := a.handle()
	if err != nil {
		return err
	}
	defer ha.Close()
	hb, err := b.handle()
	if err != nil {
		return err
	}
	defer hb.Close()

	attrs := netlink.NewLinkAttrs()
	attrs.Name = a.Name
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: b.Name}
	if b.Lab != nil {
		pair.PeerNamespace = netlink.NsFd(int(b.Lab.ns.net.Fd()))
	} else if a.Lab != nil {
		self, err := netns.Get()
		if err != nil {
			return fmt.Errorf("connect %s: %w", a.Name, err)
		}
		defer func() { _ = self.Close() }()
		pair.PeerNamespace = netlink.NsFd(int(self))
	}
	if err := ha.LinkAdd(pair); err != nil {
		return fmt.Errorf("connect %s to %s: %w", a.Name, b.Name, err)
	}
	for _, pair := range [][2]End{{a, b}, {b, a}} {
		if lab := pair[1].Lab; lab != nil && pair[0].Lab == nil {
			lab.mu.Lock()
			lab.links = append(lab.links, pair[0].Name)
			lab.mu.Unlock()
		}
	}
	return errors.Join(a.switchOn(ha), b.switchOn(hb))
}

func (e End) handle() (*netlink.Handle, error) {
	if e.Lab == nil {
		h, err := netlink.NewHandle()
		if err != nil {
			return nil, fmt.Errorf("netlink: %w", err)
		}
		return h, nil
	}
	if e.Lab.ns.net == nil {
		return nil, fmt.Errorf("lab %s is closed", e.Lab.name)
	}
	h, err := netlink.NewHandleAt(netns.NsHandle(e.Lab.ns.net.Fd()))
	if err != nil {
		return nil, fmt.Errorf("netlink in lab %s: %w", e.Lab.name, err)
	}
	return h, nil
}

func (e End) switchOn(h *netlink.Handle) error {
	link, err := h.LinkByName(e.Name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", e.Name, err)
	}
	if e.Addr.IsValid() {
		if err := h.AddrAdd(link, &netlink.Addr{IPNet: ipNet(e.Addr)}); err != nil {
			return fmt.Errorf("address %s on %s: %w", e.Addr, e.Name, err)
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("switch %s on: %w", e.Name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Route sends what goes to dst by way of via. The zero Prefix means
// everything.
func (l *Lab) Route(dst netip.Prefix, via netip.Addr) error {
	h, err := End{Lab: l}.handle()
	if err != nil {
		return err
	}
	defer h.Close()
	route := &netlink.Route{Gw: via.AsSlice()}
	if dst.IsValid() {
		route.Dst = ipNet(dst.Masked())
	}
	if err := h.RouteReplace(route); err != nil {
		return fmt.Errorf("route to %s via %s in lab %s: %w", dst, via, l.name, err)
	}
	return nil
}

// Forward makes the lab pass on IPv4 packets that are not for it.
func (l *Lab) Forward() error {
	return l.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600)
	})
}

// removeLink deletes an interface of this process's network, if it is there.
func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if _, absent := errors.AsType[netlink.LinkNotFoundError](err); absent {
		return nil
	}
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	// It may go by itself meanwhile: the kernel takes a network down some time after its last process.
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete interface %s: %w", name, err)
	}
	return nil
}
