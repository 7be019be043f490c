package peer

import (
	"net"
	"net/netip"
)

// A host is one address of IPv4, or a /64 of IPv6. Whoever has one easily has its neighbours: a /24, or a /48.
const (
	hostBits6                  = 64
	networkBits4, networkBits6 = 24, 48
)

// NetworkOf is the block of addresses that callers at addr share what is bounded with: a /24 of IPv4 or a /48 of IPv6. Those
// without an address, in the same process, have the zero prefix together.
func NetworkOf(addr net.Addr) netip.Prefix {
	ip, ok := ipOf(addr)
	if !ok {
		return netip.Prefix{}
	}
	if ip.Is4() {
		return netip.PrefixFrom(ip, networkBits4).Masked()
	}
	return netip.PrefixFrom(ip, networkBits6).Masked()
}

// hostOf is whom a connection counts for. With IPv6 a host has a /64 at least, and may use every address of it.
func hostOf(addr net.Addr) string {
	ip, ok := ipOf(addr)
	switch {
	case !ok && addr == nil:
		return ""
	case !ok:
		return addr.String()
	case ip.Is4():
		return ip.String()
	}
	return netip.PrefixFrom(ip, hostBits6).Masked().String()
}

func ipOf(addr net.Addr) (netip.Addr, bool) {
	if addr == nil {
		return netip.Addr{}, false
	}
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Addr{}, false
	}
	return at.Addr().Unmap().WithZone(""), true
}

// origin is whom a connection or a call counts for.
type origin struct {
	host    string
	network netip.Prefix
}

func originOf(addr net.Addr) origin { return origin{hostOf(addr), NetworkOf(addr)} }
