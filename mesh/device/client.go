package device

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Errors of a client.
var (
	// ErrNotRunning: nobody serves the socket, or who did is just ending.
	ErrNotRunning = errors.New("the device's mesh process is not running")
	ErrForeign    = errors.New("the socket belongs to another user's process")
)

const (
	pingTimeout = 2 * time.Second
	startPoll   = 10 * time.Millisecond
	// respawnAfter is when a started process that has not come to serve is
	// taken for failed, or for one that lost the lock to an ending one.
	respawnAfter = 2 * time.Second
)

// RefusedError is the server's answer when it could not connect.
type RefusedError struct {
	Kind    string // one of the Kind constants
	Message string
}

func (e *RefusedError) Error() string { return e.Message }

// Timeout tells that trying again may help.
func (e *RefusedError) Timeout() bool { return e.Kind == KindTimeout }

// Dial asks the serving process for a stream to target, a mesh address. It
// blocks until the host has answered, and fails with ErrNotRunning at once if
// nobody serves, or with a RefusedError. Closing the returned connection's
// write half closes the stream's: it has CloseWrite.
func Dial(ctx context.Context, socketPath string, target netip.AddrPort) (net.Conn, error) {
	if !target.IsValid() {
		return nil, fmt.Errorf("dial %s: invalid target", target)
	}
	req := request{Version: wireVersion, Target: target}
	if deadline, ok := ctx.Deadline(); ok {
		// A little less, so that the answer tells what was missing.
		req.TimeoutMS = max(1, time.Until(deadline).Milliseconds()*9/10)
	}
	return ask(ctx, socketPath, req)
}

// ping asks whether somebody serves.
func ping(ctx context.Context, socketPath string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	conn, err := ask(ctx, socketPath, request{Version: wireVersion})
	if err != nil {
		return err
	}
	return conn.Close()
}

func ask(ctx context.Context, socketPath string, req request) (net.Conn, error) {
	if err := checkPath(socketPath); err != nil {
		return nil, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socketPath)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the mesh process: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("ask the mesh process: %s is no unix socket", socketPath)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	out, err := exchange(conn, req)
	if !stop() && err == nil { // the deadline may have struck the stream
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("ask the mesh process: %w", ctx.Err())
		}
		return nil, err
	}
	return out, nil
}

func exchange(conn *net.UnixConn, req request) (net.Conn, error) {
	uid, err := peerUID(conn)
	if err != nil {
		return nil, err
	}
	if uid != os.Geteuid() {
		return nil, fmt.Errorf("%w: user %d", ErrForeign, uid)
	}
	in := bufio.NewReaderSize(conn, maxReply)
	var rep reply
	err = writeLine(conn, req)
	if err == nil || errors.Is(err, syscall.EPIPE) { // a refusal may have come first
		err = readLine(in, &rep)
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return nil, fmt.Errorf("%w: it ended while asked", ErrNotRunning)
	case err != nil:
		return nil, fmt.Errorf("answer of the mesh process: %w", err)
	case !rep.OK:
		return nil, &RefusedError{Kind: rep.Kind, Message: rep.Error}
	}
	return &clientConn{UnixConn: conn, in: in}, nil
}

// clientConn reads first what came together with the answer.
type clientConn struct {
	*net.UnixConn
	in *bufio.Reader
}

func (c *clientConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// WriteTo keeps io.Copy from going around the buffer.
func (c *clientConn) WriteTo(w io.Writer) (int64, error) { return c.in.WriteTo(w) }

// EnsureRunning returns when a process serves the socket, and otherwise calls
// spawn, which should start one and not wait for it, again every few seconds
// until ctx ends. Any number of callers may do so at once: of the processes
// they start one wins and the others end.
func EnsureRunning(ctx context.Context, socketPath string, spawn func() error) error {
	var spawned time.Time
	for {
		err := ping(ctx, socketPath)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("start the mesh process: %w", ctx.Err())
		}
		if !errors.Is(err, ErrNotRunning) {
			return err
		}
		if time.Since(spawned) > respawnAfter {
			if err := spawn(); err != nil {
				return fmt.Errorf("start the mesh process: %w", err)
			}
			spawned = time.Now()
		}
		sleep(ctx, startPoll)
	}
}

// DialOrSpawn is Dial, starting the process if need be, and once more if the
// one that serves is just ending.
func DialOrSpawn(ctx context.Context, socketPath string, target netip.AddrPort, spawn func() error) (net.Conn, error) {
	for {
		conn, err := Dial(ctx, socketPath, target)
		if !errors.Is(err, ErrNotRunning) {
			return conn, err
		}
		if err := EnsureRunning(ctx, socketPath, spawn); err != nil {
			return nil, err
		}
	}
}
