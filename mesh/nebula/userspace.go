package nebula

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/slackhq/nebula/routing"
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
)

const (
	userspaceNIC   = 1
	userspaceQueue = 512 // packets waiting to leave
	// drainTime is how long closing waits for the last packets, resets to the
	// peers of open connections, to leave.
	drainTime = 100 * time.Millisecond
	// A silent peer is asked after the first and then at each of the second.
	keepaliveIdle     = time.Minute
	keepaliveInterval = 15 * time.Second
)

// userspace is a TCP/IP stack inside the process that stands where a tun
// device otherwise would. The library's own one is IPv4 only, is never torn
// down, and stops for all when one listener is slow to accept.
type userspace struct {
	networks []netip.Prefix
	stack    *stack.Stack
	link     *channel.Endpoint
	ctx      context.Context //nolint:containedctx // it is the device's life: reads end with it
	cancel   context.CancelFunc
}

func newUserspace(networks []netip.Prefix, mtu int) (*userspace, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	u := &userspace{networks: networks, stack: s, link: channel.New(userspaceQueue, uint32(mtu), "")} //nolint:gosec // bounded by Config.check
	u.ctx, u.cancel = context.WithCancel(context.Background())
	if err := u.configure(); err != nil {
		u.destroy()
		return nil, fmt.Errorf("userspace network: %w", err)
	}
	return u, nil
}

func (u *userspace) configure() error {
	sack := tcpip.TCPSACKEnabled(true) // off by default
	if err := u.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack); err != nil {
		return stackError(err)
	}
	if err := u.stack.CreateNIC(userspaceNIC, u.link); err != nil {
		return stackError(err)
	}
	for _, n := range u.networks {
		err := u.stack.AddProtocolAddress(userspaceNIC, tcpip.ProtocolAddress{
			Protocol:          protocolOf(n.Addr()),
			AddressWithPrefix: tcpip.AddrFromSlice(n.Addr().AsSlice()).WithPrefix(),
		}, stack.AddressProperties{})
		if err != nil {
			return stackError(err)
		}
	}
	u.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: userspaceNIC},
		{Destination: header.IPv6EmptySubnet, NIC: userspaceNIC},
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
	full := tcpip.FullAddress{NIC: userspaceNIC, Port: a.Port()}
	if a.Addr().IsValid() {
		full.Addr = tcpip.AddrFromSlice(a.Addr().AsSlice())
	}
	return full
}

// dialTCP makes one attempt, until it is answered or ctx ends.
func (u *userspace) dialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var queue waiter.Queue
	ep, err := u.stack.NewEndpoint(tcp.ProtocolNumber, protocolOf(to.Addr()), &queue)
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

func (u *userspace) dialUDP(to netip.AddrPort) (net.Conn, error) {
	remote := fullAddress(to)
	return gonet.DialUDP(u.stack, nil, &remote, protocolOf(to.Addr()))
}

func (u *userspace) listenTCP(on netip.AddrPort) (net.Listener, error) {
	return gonet.ListenTCP(u.stack, fullAddress(on), protocolOf(on.Addr()))
}

// abort resets every connection and gives the resets a moment to leave, while
// the node still carries packets.
func (u *userspace) abort() {
	u.stack.Close()
	for deadline := time.Now().Add(drainTime); u.link.NumQueued() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// destroy waits for the stack's goroutines; the node must have stopped.
func (u *userspace) destroy() {
	u.cancel()
	u.stack.Destroy()
	u.link.Close()
}

// Below is the device as the library sees it.

// Read gives one packet that leaves the stack.
func (u *userspace) Read(p []byte) (int, error) {
	packet := u.link.ReadContext(u.ctx)
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

// Write takes one packet that arrived.
func (u *userspace) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	protocol := header.IPv4ProtocolNumber
	if p[0]>>4 == 6 {
		protocol = header.IPv6ProtocolNumber
	}
	// MakeWithData copies: the library uses p again.
	packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
	u.link.InjectInbound(protocol, packet)
	packet.DecRef()
	return len(p), nil
}

// Close ends reads.
func (u *userspace) Close() error {
	u.cancel()
	return nil
}

// Activate has nothing to do.
func (u *userspace) Activate() error { return nil }

// Networks are the node's own.
func (u *userspace) Networks() []netip.Prefix { return u.networks }

// Name is for the library's log.
func (u *userspace) Name() string { return "userspace" }

// RoutesFor knows no way beyond the node's own networks.
func (u *userspace) RoutesFor(netip.Addr) routing.Gateways { return nil }

// SupportsMultiqueue says that one reader is all there is.
func (u *userspace) SupportsMultiqueue() bool { return false }

// NewMultiQueueReader is never called, since one reader is all there is.
func (u *userspace) NewMultiQueueReader() (io.ReadWriteCloser, error) {
	return nil, errors.ErrUnsupported
}
