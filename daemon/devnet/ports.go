package devnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// freeTCP is a TCP port of addr that was free a moment ago.
func freeTCP(ctx context.Context, addr netip.Addr) (netip.AddrPort, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free port of %s: %w", addr, err)
	}
	defer l.Close() //nolint:errcheck // nothing was sent
	return netip.ParseAddrPort(l.Addr().String())
}

// freeUDP is a UDP port of addr that was free a moment ago.
func freeUDP(ctx context.Context, addr netip.Addr) (netip.AddrPort, error) {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free port of %s: %w", addr, err)
	}
	defer c.Close() //nolint:errcheck // nothing was sent
	return netip.ParseAddrPort(c.LocalAddr().String())
}
