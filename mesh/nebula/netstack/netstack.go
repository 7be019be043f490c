// Package netstack is a TCP/IP network inside the process, for mesh nodes that
// have no network interface of the host. It lies apart from package nebula
// because it is large and only the command line needs it.
package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/hippius/compute/mesh/nebula"
)

const (
	nic         = 1
	queueLength = 512 // packets waiting to leave
	// drainTime is how long closing waits for the last packets, resets to the
	// peers of open connections, to leave.
	drainTime = 100 * time.Millisecond
	// A silent peer is asked after the first and then at each of the second.
	keepaliveIdle     = time.Minute
	keepaliveInterval = 15 * time.Second
)

// Stack is one such network. Nebula's own is IPv4 only, is never torn down, and
// stops for all when one listener is slow to accept.
type Stack struct {
	stack *stack.Stack
	link  *channel.Endpoint
}

// New makes a stack that holds the given addresses, each of which may come with
// the length of its network; mtu is in bytes. It is a nebula.StackFactory.
func New(addrs []netip.Prefix, mtu int) (nebula.Stack, error) {
	s := &Stack{
		stack: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
		}),
		link: channel.New(queueLength, uint32(mtu), ""), //nolint:gosec // the node's configuration bounds it
	}
	if err := s.configure(addrs); err != nil {
		s.Wait()
		return nil, fmt.Errorf("userspace network: %w", err)
	}
	return s, nil
}

func (s *Stack) configure(addrs []netip.Prefix) error {
	sack := tcpip.TCPSACKEnabled(true) // off by default
	if err := s.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack); err != nil {
		return stackError(err)
	}
	if err := s.stack.CreateNIC(nic, s.link); err != nil {
		return stackError(err)
	}
	for _, n := range addrs {
		err := s.stack.AddProtocolAddress(nic, tcpip.ProtocolAddress{
			Protocol:          protocolOf(n.Addr()),
			AddressWithPrefix: tcpip.AddrFromSlice(n.Addr().AsSlice()).WithPrefix(),
		}, stack.AddressProperties{})
		if err != nil {
			return stackError(err)
		}
	}
	s.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic},
		{Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	return nil
}

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func fullAddress(a netip.AddrPort) tcpip.FullAddress {
	full := tcpip.FullAddress{NIC: nic, Port: a.Port()}
	if a.Addr().IsValid() {
		full.Addr = tcpip.AddrFromSlice(a.Addr().AsSlice())
	}
	return full
}

// DialTCP makes one attempt, until it is answered or ctx ends.
func (s *Stack) DialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var queue waiter.Queue
	ep, err := s.stack.NewEndpoint(tcp.ProtocolNumber, protocolOf(to.Addr()), &queue)
	if err != nil {
		return nil, stackError(err)
	}
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	// A session must not outlive a host that vanished by more than minutes.
	ep.SocketOptions().SetKeepAlive(true)
	idle, interval := tcpip.KeepaliveIdleOption(keepaliveIdle), tcpip.KeepaliveIntervalOption(keepaliveInterval)
	if err := errors.Join(stackError(ep.SetSockOpt(&idle)), stackError(ep.SetSockOpt(&interval))); err != nil {
		ep.Close()
		return nil, err
	}
	err = ep.Connect(fullAddress(to))
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ctx.Done():
			ep.Close()
			return nil, ctx.Err()
		case <-ready:
		}
		err = ep.LastError()
	}
	if err != nil {
		ep.Close()
		return nil, stackError(err)
	}
	return gonet.NewTCPConn(&queue, ep), nil
}

// stackError turns the stack's errors, which are not Go errors, into the ones
// a kernel's network would give.
func stackError(err tcpip.Error) error {
	switch err.(type) {
	case nil:
		return nil
	case *tcpip.ErrConnectionRefused:
		return syscall.ECONNREFUSED
	case *tcpip.ErrConnectionReset:
		return syscall.ECONNRESET
	case *tcpip.ErrConnectionAborted:
		return syscall.ECONNABORTED
	case *tcpip.ErrTimeout:
		return syscall.ETIMEDOUT
	case *tcpip.ErrHostUnreachable:
		return syscall.EHOSTUNREACH
	}
	return errors.New(err.String())
}

// DialUDP makes a socket that sends to and hears from to only.
func (s *Stack) DialUDP(to netip.AddrPort) (net.Conn, error) {
	remote := fullAddress(to)
	return gonet.DialUDP(s.stack, nil, &remote, protocolOf(to.Addr()))
}

// ListenTCP accepts connections.
func (s *Stack) ListenTCP(on netip.AddrPort) (net.Listener, error) {
	return gonet.ListenTCP(s.stack, fullAddress(on), protocolOf(on.Addr()))
}

// Abort resets every connection and waits briefly until the resets are sent, while
// somebody still reads packets.
func (s *Stack) Abort() {
	s.stack.Close()
	for deadline := time.Now().Add(drainTime); s.link.NumQueued() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// Wait tears the stack down and waits for its goroutines; nobody may read or
// write packets any more.
func (s *Stack) Wait() {
	s.stack.Destroy()
	s.link.Close()
}

// ReadPacket gives one packet that leaves the stack; it blocks until there is
// one or ctx ends.
func (s *Stack) ReadPacket(ctx context.Context, p []byte) (int, error) {
	packet := s.link.ReadContext(ctx)
	if packet == nil {
		return 0, os.ErrClosed
	}
	defer packet.DecRef()
	n := 0
	for _, part := range packet.AsSlices() {
		n += copy(p[n:], part)
	}
	return n, nil
}

// WritePacket takes one packet that arrived; it keeps nothing of p.
func (s *Stack) WritePacket(p []byte) {
	if len(p) == 0 {
		return
	}
	protocol := header.IPv4ProtocolNumber
	if p[0]>>4 == 6 {
		protocol = header.IPv6ProtocolNumber
	}
	packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
	s.link.InjectInbound(protocol, packet)
	packet.DecRef()
}
