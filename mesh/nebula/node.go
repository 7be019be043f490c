package nebula

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	nebulalib "github.com/slackhq/nebula"
	"github.com/slackhq/nebula/config"
	"github.com/slackhq/nebula/overlay"
)

const (
	// closeTimeout bounds waiting for the library's readers to end.
	closeTimeout = 10 * time.Second
	// settle is how old a node is at least when it is closed: a reader of the library that has not begun to wait for packets by then reads
	// from its socket's number, which may be another's in this process already, and never ends.
	settle = 250 * time.Millisecond
	// portAttempts is how often a lighthouse that was given no port tries.
	portAttempts = 5
)

// Node is a running member of a network. Its methods may be called from many
// goroutines.
type Node struct {
	log      *slog.Logger
	control  *nebulalib.Control
	stack    Stack // nil unless ModeUserspace
	networks []netip.Prefix
	port     uint16
	started  time.Time
	stopCtx  func() bool

	mu       sync.Mutex // guards what Reload replaces
	settings *config.C
	next     map[string]any
	config   Config
	trust    *trust
	revoked  *revocations

	// life ends, with the cause ErrClosed, when Close begins or the node stops.
	life context.Context //nolint:containedctx // methods watch it beside their own
	end  context.CancelCauseFunc

	closeOnce sync.Once
	mended    chan struct{} // closed when mend, or enforce, has ended
	done      chan struct{}
	closeErr  error
	fatal     error // set before done closes
}

// Start brings a node up and returns as soon as it sends and receives; peers
// and lighthouses are met later, in the background. The node ends with ctx or
// with Close. A certificate outside its validity is a [ClockError].
func Start(ctx context.Context, c Config, log *slog.Logger) (*Node, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	t, err := load(c, time.Now(), nil)
	if err != nil {
		return nil, fmt.Errorf("start mesh: %w", err)
	}
	n, err := start(ctx, c, t, log)
	if err != nil {
		return nil, fmt.Errorf("start mesh: %w", err)
	}
	n.stopCtx = context.AfterFunc(ctx, func() { _ = n.Close() })
	n.warnOutOfTime(t)
	return n, nil
}

// start tries several ports if the choice is ours, since another process may
// take one between the choice and its use.
func start(ctx context.Context, c Config, t *trust, log *slog.Logger) (*Node, error) {
	if !c.AmLighthouse || c.Listen.Port() != 0 {
		return startOn(c, c, t, log)
	}
	var errs []error
	for range portAttempts {
		onPort := c
		port, err := freePort(ctx, c.Listen.Addr())
		if err != nil {
			return nil, err
		}
		onPort.Listen = netip.AddrPortFrom(c.Listen.Addr(), port)
		n, err := startOn(c, onPort, t, log)
		if err == nil {
			return n, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func freePort(ctx context.Context, addr netip.Addr) (uint16, error) {
	host := ""
	if addr.IsValid() {
		host = addr.String()
	}
	var lc net.ListenConfig
	probe, err := lc.ListenPacket(ctx, "udp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = probe.Close() }()
	at, err := netip.ParseAddrPort(probe.LocalAddr().String())
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return at.Port(), nil
}

func startOn(asked, c Config, t *trust, log *slog.Logger) (*Node, error) {
	return startWith(c.settings(t, set(c.Blocklist)), asked, c, t, log)
}

func startWith(settings map[string]any, asked, c Config, t *trust, log *slog.Logger) (*Node, error) {
	n := &Node{
		log:      log,
		networks: t.host.Networks(),
		port:     c.Listen.Port(),
		config:   asked,
		trust:    t,
		revoked:  newRevocations(c.Revoked, nil),
		mended:   make(chan struct{}),
		done:     make(chan struct{}),
		stopCtx:  func() bool { return true },
	}
	n.life, n.end = context.WithCancelCause(context.Background())
	liblog := newLibraryLog(log)
	n.settings = config.NewC(liblog)
	n.settings.Settings = settings
	// Registered first, it runs first: see Reload.
	n.settings.RegisterReloadCallback(func(s *config.C) { s.Settings = n.next })

	factory := overlay.NewDeviceFromConfig // a tun, made from the settings
	switch c.Mode {
	case ModeTun:
	case ModeUserspace:
		var err error
		if n.stack, err = c.Stack(n.networks, c.mtu()); err != nil {
			return nil, err
		}
		factory = newDevice(n.networks, n.stack).factory()
	case ModeNone:
		factory = newDevice(n.networks, nil).factory()
	}
	control, err := nebulalib.Main(n.settings, false, "", liblog, factory)
	if err == nil {
		err = control.Start()
	}
	if err != nil {
		if n.stack != nil {
			n.stack.Wait()
		}
		return nil, err
	}
	n.control, n.started = control, time.Now()
	if c.AmLighthouse {
		go n.enforce()
	} else {
		go n.mend()
	}
	go n.wait()
	return n, nil
}

// wait owns the end of the node: it is over when the library's readers are.
func (n *Node) wait() {
	n.fatal = n.control.Wait()
	n.end(ErrClosed)
	<-n.mended
	if n.stack != nil {
		n.stack.Wait()
	}
	close(n.done)
}

// Done is closed when the node has stopped, by Close or by a failure; Err then
// tells which.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err is the failure that stopped the node; nil while it runs and after Close.
func (n *Node) Err() error {
	select {
	case <-n.done:
	default:
		return nil
	}
	if n.fatal != nil {
		return fmt.Errorf("mesh node stopped: %w", n.fatal)
	}
	return nil
}

// Close tells peers goodbye, stops the node and waits, at most ten seconds,
// until its socket and device are released. Further calls wait for the first.
func (n *Node) Close() error {
	n.closeOnce.Do(func() {
		n.stopCtx()
		n.end(ErrClosed)
		<-n.mended
		if n.stack != nil {
			n.stack.Abort()
		}
		time.Sleep(time.Until(n.started.Add(settle)))
		n.control.Stop()
		select {
		case <-n.done:
			n.closeErr = n.Err()
		case <-time.After(closeTimeout):
			n.closeErr = errors.New("close mesh node: the library still runs after 10 s")
		}
	})
	return n.closeErr
}

// Networks are the node's own addresses, each with its network's length.
func (n *Node) Networks() []netip.Prefix { return append([]netip.Prefix(nil), n.networks...) }

// Addr is the node's first address.
func (n *Node) Addr() netip.Addr { return n.networks[0].Addr() }

// ListenPort is the UDP port of the underlay, or 0 if the system chose it.
func (n *Node) ListenPort() uint16 { return n.port }

func (n *Node) warnOutOfTime(t *trust) {
	if t.outOfTime > 0 {
		n.log.Warn("left out authorities that are not valid now", "authorities", t.outOfTime)
	}
}
