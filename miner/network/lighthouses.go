package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
)

// maxLighthouses bounds what a hostile list can do to the kernel.
const maxLighthouses = 4096

// Lighthouses returns the UDP endpoints machines may reach even in private
// networks.
func (n *Network) Lighthouses() ([]netip.AddrPort, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	// Asked for the elements of a set that is not there, the library returns
	// an error that cannot be told from others.
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == n.table().Name }) {
		return nil, nil
	}
	_, set, _, _ := n.sets()
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
			n.log.Warn("a lighthouse in a private network stays out of reach", "endpoint", e.String())
			continue
		}
		want = append(want, netip.AddrPortFrom(addr, e.Port()))
	}
	slices.SortFunc(want, netip.AddrPort.Compare)
	want = slices.Compact(want)

	n.mu.Lock()
	defer n.mu.Unlock()
	before, err := n.Lighthouses()
	if err != nil {
		return err
	}
	if slices.Equal(before, want) {
		return nil
	}
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	_, set, _, _ := n.sets()
	conn.FlushSet(set)
	if err := conn.SetAddElements(set, endpoints(want)); err != nil {
		return fmt.Errorf("set lighthouses: %w", err)
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("set lighthouses: %w", err)
	}
	var errs []error
	for _, e := range before {
		if !slices.Contains(want, e) {
			errs = append(errs, forgetFlows(e.Addr()))
		}
	}
	return errors.Join(errs...)
}

func within(addr netip.Addr, nets []netip.Prefix) bool {
	return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(addr) })
}
