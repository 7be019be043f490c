package nebula

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"

	"github.com/slackhq/nebula/config"
	"github.com/slackhq/nebula/overlay"
	"github.com/slackhq/nebula/routing"
)

// Stack is a TCP/IP network inside the process, for ModeUserspace; package
// netstack has one. It is apart because it is large, and only some need it.
type Stack interface {
	DialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	DialUDP(to netip.AddrPort) (net.Conn, error)
	ListenTCP(on netip.AddrPort) (net.Listener, error)
	// ReadPacket gives one packet that leaves; it blocks until there is one or
	// ctx ends. WritePacket takes one that arrived, and keeps nothing of it.
	ReadPacket(ctx context.Context, p []byte) (int, error)
	WritePacket(p []byte)
	// Abort resets all connections while packets still flow; Wait tears down
	// what is left when none do.
	Abort()
	Wait()
}

// StackFactory makes a stack that holds the given addresses; mtu is in bytes.
type StackFactory func(addrs []netip.Prefix, mtu int) (Stack, error)

// device stands where the library expects a tun: before a stack, or before
// nothing, where no packet ever leaves and what arrives is gone.
type device struct {
	networks []netip.Prefix
	stack    Stack           // nil for nothing
	life     context.Context //nolint:containedctx // it is the device's life: reads end with it
	end      context.CancelFunc
}

func newDevice(networks []netip.Prefix, s Stack) *device {
	d := &device{networks: networks, stack: s}
	d.life, d.end = context.WithCancel(context.Background())
	return d
}

// factory makes the library take the device.
func (d *device) factory() overlay.DeviceFactory {
	return func(*config.C, *slog.Logger, []netip.Prefix, int) (overlay.Device, error) { return d, nil }
}

// Read gives one packet that leaves; it blocks until there is one or Close.
func (d *device) Read(p []byte) (int, error) {
	if d.stack == nil {
		<-d.life.Done()
		return 0, os.ErrClosed
	}
	return d.stack.ReadPacket(d.life, p)
}

// Write takes one packet that arrived.
func (d *device) Write(p []byte) (int, error) {
	if d.stack != nil {
		d.stack.WritePacket(p)
	}
	return len(p), nil
}

// Close ends reads.
func (d *device) Close() error {
	d.end()
	return nil
}

// Activate has nothing to do.
func (d *device) Activate() error { return nil }

// Networks are the node's own.
func (d *device) Networks() []netip.Prefix { return d.networks }

// Name is for the library's log.
func (d *device) Name() string { return "userspace" }

// RoutesFor knows no way beyond the node's own networks.
func (d *device) RoutesFor(netip.Addr) routing.Gateways { return nil }

// SupportsMultiqueue says that one reader is all there is.
func (d *device) SupportsMultiqueue() bool { return false }

// NewMultiQueueReader is never called, since one reader is all there is.
func (d *device) NewMultiQueueReader() (io.ReadWriteCloser, error) {
	return nil, os.ErrInvalid
}
