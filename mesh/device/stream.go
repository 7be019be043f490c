package device

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// halfOpenTimeout ends a stream of which one side has closed its half while
// the other has sent nothing for this long: its client may be gone for good.
const halfOpenTimeout = 5 * time.Minute

// serve answers one client and carries its stream.
func (s *server) serve(ctx context.Context, conn *net.UnixConn) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	uid, err := peerUID(conn)
	if err != nil || uid != os.Geteuid() {
		s.log.Warn("turned another user's process away", "uid", uid, "error", err)
		return
	}
	_ = conn.SetDeadline(time.Now().Add(requestTimeout))
	in := bufio.NewReaderSize(conn, maxRequest)
	var req request
	if err := readLine(in, &req); err != nil {
		if errors.Is(err, errLine) {
			_ = writeLine(conn, refusal(KindFailed, err))
		}
		return
	}
	_ = conn.SetDeadline(time.Time{})
	if req.Version != wireVersion {
		_ = writeLine(conn, refusal(KindFailed, fmt.Errorf("protocol version %d; this process speaks %d", req.Version, wireVersion)))
		return
	}
	if !req.Target.IsValid() {
		_ = writeLine(conn, reply{OK: true})
		return
	}
	remote, refused := s.dial(ctx, conn, in, req)
	if refused != nil {
		_ = writeLine(conn, refused)
		return
	}
	defer func() { _ = remote.Close() }()
	if err := writeLine(conn, reply{OK: true}); err != nil {
		return
	}
	join(ctx, conn, in, remote)
}

// dial connects for a client, unless the client goes away meanwhile.
func (s *server) dial(ctx context.Context, conn *net.UnixConn, in *bufio.Reader, req request) (net.Conn, *reply) {
	ctx, cancel := context.WithTimeout(ctx, req.timeout(s.DialTimeout))
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		// Nothing is due from the client before the reply. Bytes that come
		// anyway stay in the buffer and belong to the stream.
		if _, err := in.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			cancel()
		}
	}()
	remote, refused := s.dialOpened(ctx, req)
	_ = conn.SetReadDeadline(time.Now()) // ends the watch
	<-watched
	_ = conn.SetReadDeadline(time.Time{})
	return remote, refused
}

func (s *server) dialOpened(ctx context.Context, req request) (net.Conn, *reply) {
	select {
	case <-s.opened:
	case <-ctx.Done():
		r := refusal(KindTimeout, fmt.Errorf("the mesh is still starting: %w", ctx.Err()))
		return nil, &r
	}
	if s.openErr != nil {
		r := refusal(KindStart, s.openErr)
		return nil, &r
	}
	remote, err := s.session.DialContext(ctx, "tcp", req.Target.String())
	if err != nil {
		r := refusal(kindOf(err), err)
		return nil, &r
	}
	return remote, nil
}

type closeWriter interface{ CloseWrite() error }

// join carries bytes both ways until both halves are closed, one way fails or
// ctx ends. in reads from local.
func join(ctx context.Context, local net.Conn, in io.Reader, remote net.Conn) {
	end := func() {
		_ = local.Close()
		_ = remote.Close()
	}
	defer context.AfterFunc(ctx, end)()
	halves := &halves{conns: [2]net.Conn{local, remote}}
	var both sync.WaitGroup
	carry := func(to net.Conn, from io.Reader, fromConn net.Conn) {
		_, err := io.Copy(to, &watchedReader{from: from, conn: fromConn, halves: halves})
		if err != nil {
			end()
			return
		}
		if half, ok := to.(closeWriter); !ok || half.CloseWrite() != nil {
			end()
			return
		}
		halves.oneClosed()
	}
	both.Go(func() { carry(remote, in, local) })
	both.Go(func() { carry(local, remote, remote) })
	both.Wait()
}

// halves puts a stream with one closed half under a deadline that each arrival
// on the other moves on.
type halves struct {
	mu     sync.Mutex
	closed bool
	conns  [2]net.Conn
}

func (h *halves) oneClosed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, c := range h.conns {
		_ = c.SetReadDeadline(time.Now().Add(halfOpenTimeout))
	}
}

func (h *halves) arrived(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		_ = c.SetReadDeadline(time.Now().Add(halfOpenTimeout))
	}
}

type watchedReader struct {
	from   io.Reader
	conn   net.Conn
	halves *halves
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if n > 0 {
		r.halves.arrived(r.conn)
	}
	return n, err
}
