package nebula

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Errors of dialing into the mesh.
var (
	ErrNotUserspace = errors.New("mesh node has no userspace network")
	ErrOutside      = errors.New("address is outside the mesh network")
	// ErrNoLighthouse: not one lighthouse answered, so nobody could be found.
	ErrNoLighthouse = errors.New("no lighthouse answers")
	// ErrUnreachable: a lighthouse answers, the host itself does not.
	ErrUnreachable = errors.New("host does not answer in the mesh")
)

// attemptTime is when a connection attempt that nobody answered is begun anew.
// TCP's own retries grow apart to half a minute; a host or lighthouse that has
// just come up should be found within seconds.
const attemptTime = 3 * time.Second

// DialContext connects to "ip:port" inside the mesh over tcp or udp, in
// ModeUserspace. Without an answer it tries on until ctx ends, and then says
// in ErrNoLighthouse or ErrUnreachable what was missing. A refused connection
// is syscall.ECONNREFUSED at once.
func (n *Node) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", address, err)
	}
	if n.stack == nil {
		return nil, ErrNotUserspace
	}
	if n.life.Err() != nil {
		return nil, fmt.Errorf("dial %s: %w", to, ErrClosed)
	}
	if !n.contains(to.Addr()) {
		return nil, fmt.Errorf("dial %s: %w %v", to, ErrOutside, n.networks)
	}
	switch network {
	case "tcp", "tcp4", "tcp6":
		return n.dialTCP(ctx, to)
	case "udp", "udp4", "udp6":
		return n.stack.DialUDP(to)
	}
	return nil, fmt.Errorf("dial %s: %w", to, net.UnknownNetworkError(network))
}

func (n *Node) dialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := n.untilClosed(ctx)
	defer cancel()
	for {
		attempt, end := context.WithTimeout(ctx, attemptTime)
		conn, err := n.stack.DialTCP(attempt, to)
		timedOut := attempt.Err() != nil
		end()
		switch {
		case err == nil:
			return conn, nil
		case ctx.Err() != nil:
			return nil, n.explain(ctx, to)
		case !timedOut:
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
		}
	}
}

// untilClosed ends ctx when the node closes.
func (n *Node) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(n.life, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// explain says why nobody answered, as far as this side can know.
func (n *Node) explain(ctx context.Context, to netip.AddrPort) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrClosed) {
		return fmt.Errorf("dial %s: %w", to, ErrClosed)
	}
	if _, ok := n.Peer(to.Addr()); ok {
		return fmt.Errorf("dial %s: its mesh answers, its port %d does not: %w", to, to.Port(), cause)
	}
	if !n.LighthouseUp() {
		return fmt.Errorf("dial %s: %w: %w", to, ErrNoLighthouse, cause)
	}
	return fmt.Errorf("dial %s: %w: %w", to, ErrUnreachable, cause)
}

// Listen accepts TCP connections to "ip:port" or ":port" inside the mesh, in
// ModeUserspace. The firewall decides who may connect.
func (n *Node) Listen(network, address string) (net.Listener, error) {
	if n.stack == nil {
		return nil, ErrNotUserspace
	}
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, fmt.Errorf("listen on %q: %w", address, net.UnknownNetworkError(network))
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", address, err)
	}
	if host == "" {
		address = net.JoinHostPort(n.Addr().String(), port)
	}
	on, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", address, err)
	}
	return n.stack.ListenTCP(on)
}

func (n *Node) contains(a netip.Addr) bool {
	for _, p := range n.networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
