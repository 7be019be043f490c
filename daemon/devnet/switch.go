package devnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/hippius/compute/internal/netlab"
)

// The labs of a network are plugged into one switch, which stands for the
// Internet: the host, where validators and gateway are, and each miner have one
// address there. The range is that of RFC 2544, for tests of networks.
const (
	bridgeName   = "net0"
	hostHost     = 1
	firstMiner   = 11
	switchPrefix = 24
)

// ethernet is the switch with what is plugged into it.
type ethernet struct {
	hub    *netlab.Lab
	prefix netip.Prefix
	tag    string
	host   netip.Addr
}

// newEthernet makes the switch in a lab of its own and plugs the host in.
func newEthernet(ctx context.Context, tag string) (*ethernet, error) {
	prefix, err := freeRange()
	if err != nil {
		return nil, err
	}
	hub, err := netlab.New(ctx, tag+"-hub", netlab.Options{})
	if err != nil {
		return nil, fmt.Errorf("make switch: %w", err)
	}
	e := &ethernet{hub: hub, prefix: prefix, tag: tag}
	if err := e.build(); err != nil {
		return nil, errors.Join(err, hub.Close())
	}
	return e, nil
}

func (e *ethernet) build() error {
	err := e.hub.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = bridgeName
		bridge := &netlink.Bridge{LinkAttrs: attrs}
		if err := netlink.LinkAdd(bridge); err != nil {
			return fmt.Errorf("add bridge: %w", err)
		}
		return netlink.LinkSetUp(bridge)
	})
	if err != nil {
		return fmt.Errorf("make switch: %w", err)
	}
	e.host = hostAddr(e.prefix, hostHost)
	return e.plug(netlab.End{Name: e.tag + "-net", Addr: netip.PrefixFrom(e.host, switchPrefix)}, "host")
}

// plug lays a cable from end to the switch's port.
func (e *ethernet) plug(end netlab.End, port string) error {
	if err := netlab.Connect(end, netlab.End{Lab: e.hub, Name: port}); err != nil {
		return err
	}
	err := e.hub.Do(func() error {
		bridge, err := netlink.LinkByName(bridgeName)
		if err != nil {
			return err
		}
		link, err := netlink.LinkByName(port)
		if err != nil {
			return err
		}
		return netlink.LinkSetMaster(link, bridge)
	})
	if err != nil {
		return fmt.Errorf("plug %s into the switch: %w", port, err)
	}
	return nil
}

// plugMiner gives the i-th miner's lab its address.
func (e *ethernet) plugMiner(lab *netlab.Lab, i int) (netip.Addr, error) {
	addr := hostAddr(e.prefix, byte(firstMiner+i))
	err := e.plug(netlab.End{Lab: lab, Name: "net0", Addr: netip.PrefixFrom(addr, switchPrefix)}, fmt.Sprintf("miner%d", i))
	return addr, err
}

func (e *ethernet) close() error { return e.hub.Close() }

func hostAddr(p netip.Prefix, host byte) netip.Addr {
	a := p.Addr().As4()
	a[3] = host
	return netip.AddrFrom4(a)
}

// freeRange is the first /24 of 198.18.0.0/16 that no interface of this host has an address in.
func freeRange() (netip.Prefix, error) {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("list addresses: %w", err)
	}
	taken := map[netip.Prefix]bool{}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok {
			taken[netip.PrefixFrom(ip, switchPrefix).Masked()] = true
		}
	}
	for i := range 256 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i), 0}), switchPrefix)
		if !taken[p] {
			return p, nil
		}
	}
	return netip.Prefix{}, errors.New("every /24 of 198.18.0.0/16 is taken on this host")
}
