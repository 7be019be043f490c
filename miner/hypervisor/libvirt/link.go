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

// callTimeout bounds one call. libvirtd answers in milliseconds, except for the
// first after its start (it probes QEMU, seconds) and for starting and killing
// a domain on a busy host; one that takes longer than this is as good as down.
const callTimeout = 2 * time.Minute

// link keeps one connection to libvirtd, made anew when it breaks.
type link struct {
	socket string

	mu      sync.Mutex
	current *connection
	closed  bool
	calls   sync.WaitGroup
}

// connection is one connection. Dead closes when it breaks.
type connection struct {
	*lv.Libvirt
	raw  *watched
	dead <-chan struct{}
}

func newLink(socket string) *link { return &link{socket: socket} }

// watched is a connection that tells of its end.
type watched struct {
	net.Conn
	ended func()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.ended()
	}
	return n, err
}

// Write bounds what a hung libvirtd can hold up.
func (w *watched) Write(p []byte) (int, error) {
	_ = w.SetWriteDeadline(time.Now().Add(callTimeout))
	n, err := w.Conn.Write(p)
	if err != nil {
		w.ended()
	}
	return n, err
}

// dialed hands go-libvirt a connection that is already there.
type dialed struct{ net.Conn }

func (d dialed) Dial() (net.Conn, error) { return d.Conn, nil }

func (c *connection) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

// get returns the live connection, or a new one.
func (k *link) get(ctx context.Context) (*connection, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, fmt.Errorf("driver is closed: %w", hypervisor.ErrHypervisorDown)
	}
	if k.current != nil && !k.current.isDead() {
		return k.current, nil
	}
	k.current = nil
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "unix", k.socket)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", hypervisor.ErrHypervisorDown, err)
	}
	dead := make(chan struct{})
	w := &watched{Conn: raw, ended: sync.OnceFunc(func() { close(dead) })}
	c := &connection{Libvirt: lv.NewWithDialer(dialed{w}), raw: w, dead: dead}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	err = c.Connect()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("%w: open connection: %w", hypervisor.ErrHypervisorDown, err)
	}
	k.current = c
	return c, nil
}

// query runs f on the connection and gives up waiting when ctx ends; f then
// ends by itself, its result dropped. All errors come out explained.
func query[T any](ctx context.Context, k *link, f func(*lv.Libvirt) (T, error)) (T, error) {
	var none T
	c, err := k.get(ctx)
	if err != nil {
		return none, err
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return none, hypervisor.ErrHypervisorDown
	}
	k.calls.Go(func() {
		value, err := f(c.Libvirt)
		done <- result{value, err}
	})
	k.mu.Unlock()
	timer := time.NewTimer(callTimeout)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.value, explain(r.err, c.isDead())
	case <-ctx.Done():
		return none, ctx.Err()
	case <-timer.C:
		_ = c.raw.Close()
		return none, fmt.Errorf("%w: no answer in %v", hypervisor.ErrHypervisorDown, callTimeout)
	}
}

// do is query for calls that return nothing.
func do(ctx context.Context, k *link, f func(*lv.Libvirt) error) error {
	_, err := query(ctx, k, func(l *lv.Libvirt) (struct{}, error) { return struct{}{}, f(l) })
	return err
}

// explain turns what libvirt says into the errors callers know.
func explain(err error, dead bool) error {
	if err == nil {
		return nil
	}
	var said lv.Error
	switch {
	case errors.As(err, &said) && lv.ErrorNumber(said.Code) == lv.ErrNoDomain: //nolint:gosec // codes are small
		return fmt.Errorf("%w: %w", hypervisor.ErrNotFound, err)
	case errors.As(err, &said):
		return err
	case dead, errors.Is(err, lv.ErrInterrupted), errors.Is(err, net.ErrClosed):
		return fmt.Errorf("%w: %w", hypervisor.ErrHypervisorDown, err)
	}
	return err
}

// close ends the connection and waits for the calls under way.
func (k *link) close() {
	k.mu.Lock()
	k.closed = true
	if k.current != nil {
		_ = k.current.raw.Close()
	}
	k.mu.Unlock()
	k.calls.Wait()
}
