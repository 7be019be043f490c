package devnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
)

// Ports are looked for below those that the kernel takes for a client, and for a server that does not care which (from
// 32768 on): so nobody gets one between the look and the listening.
const (
	firstPort = 20000
	portCount = 12000
)

// ports gives a network its ports, none of them twice.
type ports struct{ next atomic.Uint32 }

// newPorts starts anywhere: other processes, and other networks of this one, look for theirs too.
func newPorts() *ports {
	p := &ports{}
	p.next.Store(rand.Uint32N(portCount)) //nolint:gosec // not a secret
	return p
}

// tcp is a TCP port of addr that was free just now.
func (p *ports) tcp(ctx context.Context, addr netip.Addr) (netip.AddrPort, error) {
	return p.free(addr, func(at string) (io.Closer, error) { return new(net.ListenConfig).Listen(ctx, "tcp", at) })
}

// udp is a UDP port of addr that was free just now.
func (p *ports) udp(ctx context.Context, addr netip.Addr) (netip.AddrPort, error) {
	return p.free(addr, func(at string) (io.Closer, error) { return new(net.ListenConfig).ListenPacket(ctx, "udp", at) })
}

func (p *ports) free(addr netip.Addr, listen func(at string) (io.Closer, error)) (netip.AddrPort, error) {
	for range portCount {
		at := netip.AddrPortFrom(addr, uint16(firstPort+p.next.Add(1)%portCount)) //nolint:gosec // below 32000
		l, err := listen(at.String())
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("find a free port of %s: %w", addr, err)
		}
		return at, l.Close()
	}
	return netip.AddrPort{}, fmt.Errorf("find a free port of %s: all from %d to %d are taken", addr, firstPort, firstPort+portCount-1)
}
