package nebula

import (
	"context"
	"io"
	"net/netip"
	"os"

	"github.com/slackhq/nebula/routing"
)

// nowhere is the device of a node without packets of its own: nothing ever
// leaves it, and what arrives is gone.
type nowhere struct {
	networks []netip.Prefix
	life     context.Context //nolint:containedctx // it is the device's life: reads end with it
	end      context.CancelFunc
}

func newNowhere(networks []netip.Prefix) *nowhere {
	d := &nowhere{networks: networks}
	d.life, d.end = context.WithCancel(context.Background())
	return d
}

// Read blocks until Close.
func (d *nowhere) Read([]byte) (int, error) {
	<-d.life.Done()
	return 0, os.ErrClosed
}

// Write drops the packet.
func (d *nowhere) Write(p []byte) (int, error) { return len(p), nil }

// Close ends reads.
func (d *nowhere) Close() error {
	d.end()
	return nil
}

// Activate has nothing to do.
func (d *nowhere) Activate() error { return nil }

// Networks are the node's own.
func (d *nowhere) Networks() []netip.Prefix { return d.networks }

// Name is for the library's log.
func (d *nowhere) Name() string { return "none" }

// RoutesFor knows no way.
func (d *nowhere) RoutesFor(netip.Addr) routing.Gateways { return nil }

// SupportsMultiqueue says that one reader is all there is.
func (d *nowhere) SupportsMultiqueue() bool { return false }

// NewMultiQueueReader is never called, since one reader is all there is.
func (d *nowhere) NewMultiQueueReader() (io.ReadWriteCloser, error) {
	return nil, os.ErrInvalid
}
