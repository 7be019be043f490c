package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func isUp(link netlink.Link) bool { return link.Attrs().RawFlags&unix.IFF_UP != 0 }

const (
	switchedOff = "it is switched off"
	forwardFile = "/proc/sys/net/ipv4/ip_forward"
)

// forward switches IPv4 forwarding on, which also does it for each interface.
func forward() error {
	if err := os.WriteFile(forwardFile, []byte("1"), 0o600); err != nil {
		return fmt.Errorf("switch forwarding on: %w", err)
	}
	return nil
}

// sysctl is a switch of the kernel's, and the one value it should have.
type sysctl struct{ file, value string }

// sysctls of a tap. VMs have no IPv6, and the host is not to be reached by it.
func (t Tap) sysctls() []sysctl {
	return []sysctl{
		{filepath.Join("/proc/sys/net/ipv6/conf", t.Name, "disable_ipv6"), "1"},
		{filepath.Join("/proc/sys/net/ipv4/conf", t.Name, "forwarding"), "1"},
	}
}

// isSet tells whether a switch has its value. One that the kernel does not have, as without IPv6, is none to set.
func (s sysctl) isSet() (bool, error) {
	fd, err := unix.Open(s.file, unix.O_RDONLY|unix.O_CLOEXEC, 0) // half the price of os.Open, and there are many
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	var buf [16]byte
	k, err := unix.Read(fd, buf[:])
	return strings.TrimSpace(string(buf[:max(0, k)])) == s.value, errors.Join(err, unix.Close(fd))
}

func (s sysctl) set() error {
	if err := os.WriteFile(s.file, []byte(s.value), 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// linkDefects compares interfaces with what they should be: switches, addresses, routes and caps.
func (n *Network) linkDefects(all []attached) (found []defect, err error) {
	on, err := sysctl{forwardFile, "1"}.isSet()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", forwardFile, err)
	}
	if !on {
		found = append(found, defect{what: "IPv4 forwarding is off"})
	}
	if len(all) == 0 {
		return found, nil
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	queues, err := netlink.QdiscList(nil)
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	has := make(map[place]bool, len(addrs)+len(routes))
	for _, a := range addrs {
		has[place{"address", a.LinkIndex, a.IPNet.String()}] = true
	}
	for _, r := range routes {
		if r.Dst != nil {
			has[place{"route", r.LinkIndex, r.Dst.String()}] = true
		}
	}
	caps := make(map[int]uint64)
	for _, q := range queues {
		if tbf, ok := q.(*netlink.Tbf); ok && tbf.Parent == netlink.HANDLE_ROOT && tbf.Handle == capHandle {
			caps[q.Attrs().LinkIndex] = tbf.Rate
		}
	}
	for _, a := range all {
		defects, err := a.defects(has, caps[a.link.Attrs().Index])
		if err != nil {
			return nil, err
		}
		found = append(found, defects...)
	}
	return found, nil
}

// place is where an address or a route is.
type place struct {
	kind string
	link int
	net  string
}

// defects of one interface, given what addresses and routes there are, and the rate in bytes a second at which packets
// reach its guest, 0 for any.
func (a attached) defects(has map[place]bool, rate uint64) (found []defect, err error) {
	attrs := a.link.Attrs()
	report := func(what string, open, down bool) {
		found = append(found, defect{tap: a.Name, what: what, open: open, down: down})
	}
	if attrs.Alias != a.alias() {
		report("its alias is altered", false, false)
	}
	if attrs.MasterIndex != 0 {
		report("it is in a bridge", true, true)
	}
	for _, s := range a.sysctls() {
		set, err := s.isSet()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.file, err)
		}
		if !set {
			report(s.file+" is not "+s.value, false, false)
		}
	}
	switch {
	case !has[place{"address", attrs.Index, a.Host.String()}]:
		report("its address is missing", false, true)
	case !isUp(a.link): // a link that is down has no routes
	case !has[place{"route", attrs.Index, a.Host.Masked().String()}],
		!has[place{"route", attrs.Index, netip.PrefixFrom(a.Host.Addr(), 32).String()}]:
		report("its route is missing", false, true)
	}
	if rate != a.BitsPerSec/8 {
		report(fmt.Sprintf("its cap is %d bytes a second and not %d", rate, a.BitsPerSec/8), false, false)
	}
	if !isUp(a.link) {
		report(switchedOff, false, false)
	}
	return found, nil
}
