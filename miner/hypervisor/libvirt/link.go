package libvirt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hippius/compute/miner/hypervisor"
)

const (
	// callTimeout bounds one call, with the wait for a connection. libvirtd answers in milliseconds, except for the first
	// after its start (it probes QEMU, seconds) and for starting and killing a domain on a busy host; one that takes longer
	// than this is as good as down.
	callTimeout = 2 * time.Minute

	// silence is after how long without an answer to a call libvirtd is asked for a sign of life, and how long that may
	// take. The sign needs neither QEMU nor a VM: who does not give it hangs, however slow other calls are.
	silence = 10 * time.Second

	// maxCalls in progress on one connection. libvirtd reads no more than 5 requests (its max_client_requests) of a client
	// that it has not answered: the last is left for the sign of life.
	maxCalls = 4

	// maxWaiting is how many callers wait for libvirtd; another fails at once.
	maxWaiting = 256
)

// errClosed is what calls end with after Close.
var errClosed = fmt.Errorf("driver is closed: %w", hypervisor.ErrHypervisorDown)

// link keeps one connection to libvirtd, made anew when it breaks or is not answered.
type link struct {
	socket string
	// timeout and silence are the constants, but in tests.
	timeout, silence time.Duration

	mu      sync.Mutex // never held while anything is waited for
	current *connection
	opening *opening // nil while nothing is
	waiting int      // callers
	closed  bool
	calls   sync.WaitGroup // all goroutines
}

// opening is a connection in the making, shared by all who want it.
type opening struct {
	cancel context.CancelFunc
	done   chan struct{} // closed once one of the following is set
	c      *connection
	err    error
}

// connection is one connection.
type connection struct {
	*lv.Libvirt
	*watched
	turns chan struct{} // holds a value for each call in progress

	// The link's mu guards these.
	stuck int  // calls in progress that nobody waits for
	asked bool // for a sign of life
}

func newLink(socket string) *link {
	return &link{socket: socket, timeout: callTimeout, silence: silence}
}

// watched is a connection that tells of its end.
type watched struct {
	net.Conn
	timeout time.Duration // of a write

	once sync.Once
	dead chan struct{} // closed at the end
	why  error         // it ended; may be read once dead is closed
}

// end closes the connection, and with it all calls on it.
func (w *watched) end(why error) {
	w.once.Do(func() {
		w.why = why
		close(w.dead)
		_ = w.Close()
	})
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.end(err)
	}
	return n, err
}

// Write bounds what a hung libvirtd can hold up.
func (w *watched) Write(p []byte) (int, error) {
	_ = w.SetWriteDeadline(time.Now().Add(w.timeout))
	n, err := w.Conn.Write(p)
	if err != nil {
		w.end(err)
	}
	return n, err
}

// dialed hands go-libvirt a connection that is already there.
type dialed struct{ net.Conn }

func (d dialed) Dial() (net.Conn, error) { return d.Conn, nil }

func (w *watched) isDead() bool {
	select {
	case <-w.dead:
		return true
	default:
		return false
	}
}

// get returns the live connection, or a new one. It waits for that while ctx lasts.
func (k *link) get(ctx context.Context) (*connection, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil, errClosed
	}
	if c := k.current; c != nil && !c.isDead() {
		k.mu.Unlock()
		return c, nil
	}
	o := k.opening
	if o == nil {
		o = k.open(ctx)
	}
	k.mu.Unlock()
	select {
	case <-o.done:
		return o.c, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open begins a connection, which lasts longer than ctx. k.mu is held.
func (k *link) open(ctx context.Context) *opening {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.timeout)
	o := &opening{cancel: cancel, done: make(chan struct{})}
	k.opening, k.current = o, nil
	k.calls.Go(func() {
		defer cancel()
		c, err := k.connect(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		if err == nil && k.closed {
			c.end(errClosed)
			err = errClosed
		}
		o.err = err
		if err == nil {
			o.c, k.current = c, c
		}
		k.opening = nil
		close(o.done)
	})
	return o
}

func (k *link) connect(ctx context.Context) (*connection, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, "unix", k.socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hypervisor.ErrHypervisorDown, err)
	}
	w := &watched{Conn: raw, timeout: k.timeout, dead: make(chan struct{})}
	c := &connection{Libvirt: lv.NewWithDialer(dialed{w}), watched: w, turns: make(chan struct{}, maxCalls)}
	stop := context.AfterFunc(ctx, func() { w.end(ctx.Err()) })
	err = c.Connect()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		w.end(err)
		return nil, fmt.Errorf("%w: open connection: %w", hypervisor.ErrHypervisorDown, w.why)
	}
	return c, nil
}

// begin runs f, which close waits for; false once closed.
func (k *link) begin(f func()) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	k.calls.Go(f)
	return true
}

// close ends the connection and waits for the calls under way.
func (k *link) close() {
	k.mu.Lock()
	k.closed = true
	if k.current != nil {
		k.current.end(errClosed)
	}
	if k.opening != nil {
		k.opening.cancel()
	}
	k.mu.Unlock()
	k.calls.Wait()
}

// explain turns what libvirt says into the errors callers know.
func explain(err error) error {
	if err == nil {
		return nil
	}
	var said lv.Error
	switch {
	case errors.As(err, &said) && lv.ErrorNumber(said.Code) == lv.ErrNoDomain: //nolint:gosec // codes are small
		return fmt.Errorf("%w: %w", hypervisor.ErrNotFound, err)
	case errors.As(err, &said):
		return err
	case errors.Is(err, lv.ErrInterrupted), errors.Is(err, net.ErrClosed):
		return fmt.Errorf("%w: %w", hypervisor.ErrHypervisorDown, err)
	}
	return err
}
