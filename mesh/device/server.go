package device

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// Defaults of Options.
const (
	DefaultIdleTimeout = 2 * time.Minute
	DefaultDialTimeout = time.Minute
	DefaultMaxStreams  = 256
)

const (
	requestTimeout = 5 * time.Second
	// failureLinger is how long a server whose mesh did not come up tells so to
	// those who ask, before it ends.
	failureLinger = time.Second
)

// Session is the mesh as the server needs it; *nebula.Node is one.
type Session interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	Done() <-chan struct{}
	Close() error
}

// Options of a server.
type Options struct {
	// SocketPath, at most 103 bytes, in a folder only the user can write to; it
	// is made if missing. LockPath lies beside it and stays.
	SocketPath string
	LockPath   string
	// Open joins the mesh. It is called once, with the lock held, and not at
	// all when another process serves.
	Open func(ctx context.Context) (Session, error)
	// IdleTimeout after the last stream the server ends.
	IdleTimeout time.Duration
	// DialTimeout bounds each connection attempt.
	DialTimeout time.Duration
	// MaxStreams at once.
	MaxStreams int
}

func (o Options) withDefaults() Options {
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = DefaultDialTimeout
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = DefaultMaxStreams
	}
	return o
}

// Serve holds the device's mesh address and serves streams into the mesh until
// it has been idle for a while, ctx ends (both nil), or the mesh fails. If
// another process serves already it returns ErrAlreadyRunning at once, which a
// starter may take for success.
func Serve(ctx context.Context, o Options, log *slog.Logger) (err error) {
	o = o.withDefaults()
	if err := checkPath(o.SocketPath); err != nil {
		return err
	}
	if err := folder(o.SocketPath); err != nil {
		return err
	}
	held, err := lock(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }() // and with it the lock
	if err := clearLeftover(o.SocketPath); err != nil {
		return err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: o.SocketPath, Net: "unix"})
	if err != nil {
		return fmt.Errorf("listen for commands: %w", err)
	}
	defer func() { _ = listener.Close() }()
	if err := os.Chmod(o.SocketPath, 0o600); err != nil {
		return fmt.Errorf("listen for commands: %w", err)
	}
	s := &server{Options: o, log: log, listener: listener, opened: make(chan struct{}), poke: make(chan struct{}, 1)}
	return s.run(ctx)
}

type server struct {
	Options
	log      *slog.Logger
	listener *net.UnixListener

	opened  chan struct{} // closed when session or openErr is set
	session Session
	openErr error

	streams sync.WaitGroup
	poke    chan struct{} // a stream came or went

	mu     sync.Mutex
	active int
	ending bool
}

func (s *server) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts sync.WaitGroup
	parts.Go(func() { s.open(ctx) })
	parts.Go(func() { s.accept(ctx) })

	err := s.watch(ctx)
	cancel()
	_ = s.listener.Close() // removes the socket; whoever comes now starts another
	parts.Wait()
	s.streams.Wait()
	if s.session != nil {
		err = errors.Join(err, s.session.Close())
	}
	return err
}

func (s *server) open(ctx context.Context) {
	defer close(s.opened)
	s.session, s.openErr = s.Open(ctx)
	if s.openErr != nil {
		s.openErr = fmt.Errorf("join the mesh: %w", s.openErr)
	}
}

// watch returns when the server should end.
func (s *server) watch(ctx context.Context) error {
	opened := s.opened
	var lost <-chan struct{}
	idle := time.NewTimer(s.IdleTimeout)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-opened:
			opened = nil
			if s.openErr != nil {
				if ctx.Err() != nil {
					return nil
				}
				sleep(ctx, failureLinger)
				return s.openErr
			}
			lost = s.session.Done()
		case <-lost:
			return errors.New("the mesh went down")
		case <-s.poke:
			idle.Reset(s.IdleTimeout)
		case <-idle.C:
			if s.endIfIdle() {
				s.log.Info("idle, ending")
				return nil
			}
		}
	}
}

// endIfIdle turns further clients away if there is none now.
func (s *server) endIfIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = s.active == 0
	return s.ending
}

// admit counts a client in, unless the server is ending or full.
func (s *server) admit() (ok, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending || s.active >= s.MaxStreams {
		return false, !s.ending
	}
	s.active++
	s.streams.Add(1)
	return true, false
}

func (s *server) leave() {
	s.mu.Lock()
	s.active--
	s.mu.Unlock()
	s.streams.Done()
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

func (s *server) accept(ctx context.Context) {
	for {
		conn, err := s.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, most likely: let some go
			s.log.Warn("accept a command", "error", err)
			sleep(ctx, 100*time.Millisecond)
			continue
		}
		ok, full := s.admit()
		if !ok {
			if full {
				_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
				_ = writeLine(conn, refusal(KindBusy, fmt.Errorf("%d streams are open", s.MaxStreams)))
			}
			_ = conn.Close()
			continue
		}
		go func() {
			defer s.leave()
			s.serve(ctx, conn)
		}()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
