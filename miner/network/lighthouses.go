package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// maxLighthouses bounds what a hostile list can do to the kernel.
const maxLighthouses = 4096

// Lighthouses returns the UDP endpoints VMs may reach even in private
// networks.
func (n *Network) Lighthouses() []netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lighthouses)
}

// readLighthouses gives those that an earlier miner left in the kernel.
func (n *Network) readLighthouses() ([]netip.AddrPort, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	_, set, _, _ := n.sets()
	// Asked for the elements of a set that is not there, the library returns
	// an error that cannot be told from others.
	if _, err := conn.GetSetByName(set.Table, set.Name); errors.Is(err, unix.ENOENT) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read lighthouses: %w", err)
	}
	elements, err := conn.GetSetElements(set)
	if err != nil {
		return nil, fmt.Errorf("read lighthouses: %w", err)
	}
	var ends []netip.AddrPort
	for _, e := range elements {
		if len(e.Key) < 6 {
			continue
		}
		addr, _ := netip.AddrFromSlice(e.Key[:4])
		ends = append(ends, netip.AddrPortFrom(addr, binary.BigEndian.Uint16(e.Key[4:])))
	}
	slices.SortFunc(ends, netip.AddrPort.Compare)
	return ends, nil
}

// SetLighthouses replaces them all in one step: IPv4 endpoints, at most 4096.
// One in a private network that is not among Config.LighthouseNets is passed
// over. Flows to one that is no more are cut.
func (n *Network) SetLighthouses(ends []netip.AddrPort) error {
	if len(ends) > maxLighthouses {
		return fmt.Errorf("%d lighthouses are too many", len(ends))
	}
	want := make([]netip.AddrPort, 0, len(ends))
	for _, e := range ends {
		if !e.IsValid() || !e.Addr().Unmap().Is4() || e.Port() == 0 {
			return fmt.Errorf("lighthouse %s is not an IPv4 endpoint", e)
		}
		addr := e.Addr().Unmap()
		if within(addr, n.cfg.Private) && !within(addr, n.cfg.LighthouseNets) {
			n.log.Warn("lighthouse in a private network is not allowed", "addr", e.String())
			continue
		}
		want = append(want, netip.AddrPortFrom(addr, e.Port()))
	}
	slices.SortFunc(want, netip.AddrPort.Compare)
	want = slices.Compact(want)

	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.lighthouses
	if slices.Equal(before, want) {
		return nil
	}
	err := n.transact(func(conn *nftables.Conn) error {
		_, set, _, _ := n.sets()
		conn.FlushSet(set)
		return conn.SetAddElements(set, endpoints(want))
	})
	if err != nil {
		return fmt.Errorf("set lighthouses: %w", err)
	}
	n.lighthouses = want
	var gone []netip.Addr
	for _, e := range before {
		if !slices.Contains(want, e) {
			gone = append(gone, e.Addr())
		}
	}
	return forgetFlows(gone...)
}

func within(addr netip.Addr, nets []netip.Prefix) bool {
	return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(addr) })
}
