package guest

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
)

// Status is what the agent says of itself in a Hello.
type Status struct {
	MeshUp bool
	// Problem keeps the agent from being ready; empty for none.
	Problem string
}

// Options are the hooks of a conversation. A nil hook leaves its message
// unanswered; no hook is called by two goroutines at once, except Status and
// Metrics, and none may block for long.
type Options struct {
	// Version of the agent.
	Version string
	// Status is asked before each Hello.
	Status func() Status
	// Metrics is asked together with it.
	Metrics func() (wire.Metrics, error)
	// Mesh gets changed lighthouses and revocations.
	Mesh func(wire.Mesh)
	// Shutdown gets requests to power off, with the miner's time of sending.
	Shutdown func(r wire.Shutdown, sent time.Time)
	// Clock gets the miner's time of sending of every message.
	Clock func(sent time.Time)
	// Ready is closed when the VM is fit for its tenant: a Hello says so at
	// once, and no Challenge is answered before. Nil: it is fit.
	Ready <-chan struct{}
	// Every is the pause between Hellos; 0 means 10 seconds.
	Every time.Duration
	Log   *slog.Logger
}

// outbox bounds what waits for a host that does not read.
const outbox = 16

// Serve talks to the miner over conn as the agent of the instance in cfg: it
// says Hello at once and every so often, and answers each Challenge with a
// Proof. It returns when conn ends or ctx does. To end it with ctx, conn must
// have SetDeadline or Close, as files, pipes and sockets do.
func Serve(ctx context.Context, cfg wire.Config, conn io.ReadWriter, opts Options) error {
	if len(cfg.ProofKey) != ed25519.SeedSize {
		return fmt.Errorf("proof key has %d bytes, want %d", len(cfg.ProofKey), ed25519.SeedSize)
	}
	if opts.Every <= 0 {
		opts.Every = 10 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &session{cfg: cfg, key: ed25519.NewKeyFromSeed(cfg.ProofKey), opts: opts, out: make(chan wire.ToHost, outbox)}
	stop := context.AfterFunc(ctx, func() { interrupt(conn) })
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- s.write(ctx, conn)
	}()
	readErr := s.read(conn)
	cancel()
	stop()
	interrupt(conn)
	writeErr := <-done
	if writeErr != nil {
		return writeErr
	}
	return readErr
}

// interrupt wakes what blocks on conn.
func interrupt(conn io.ReadWriter) {
	if d, ok := conn.(interface{ SetDeadline(t time.Time) error }); ok {
		if d.SetDeadline(time.Unix(1, 0)) == nil {
			return
		}
	}
	if c, ok := conn.(io.Closer); ok {
		_ = c.Close() // its owner closes it again and sees the error
	}
}

type session struct {
	cfg  wire.Config
	key  ed25519.PrivateKey
	opts Options
	out  chan wire.ToHost
	// misfit says that the miner speaks other versions; nil while it does not.
	misfit atomic.Pointer[string]
}

// read handles the miner's messages until the stream ends.
func (s *session) read(conn io.Reader) error {
	in := wire.NewGuestReader(conn)
	for {
		var m wire.ToGuest
		if err := in.Next(&m); err != nil {
			return fmt.Errorf("read channel: %w", err)
		}
		sent := time.UnixMilli(m.UnixMilli)
		if s.opts.Clock != nil && m.UnixMilli > 0 {
			s.opts.Clock(sent)
		}
		if m.Protocol != nil {
			s.meet(m.Protocol)
		}
		switch {
		case s.misfit.Load() != nil:
			// What it asks might mean something else; the next Hello says so.
		case m.Challenge != nil && s.ready():
			s.say(wire.ToHost{Proof: s.prove(*m.Challenge)})
		case m.Mesh != nil && s.opts.Mesh != nil:
			s.opts.Mesh(*m.Mesh)
		case m.Shutdown != nil && s.opts.Shutdown != nil:
			s.opts.Shutdown(*m.Shutdown, sent)
		}
	}
}

func (s *session) ready() bool {
	if s.opts.Ready == nil {
		return true
	}
	select {
	case <-s.opts.Ready:
		return true
	default:
		return false
	}
}

// meet notes whether the miner can be understood.
func (s *session) meet(theirs *wire.Versions) {
	err := wire.Spoken().Meets(theirs)
	if err == nil {
		s.misfit.Store(nil)
		return
	}
	s.opts.Log.Error("host is unsupported", "error", err)
	text := err.Error()
	s.misfit.Store(&text)
	s.say(s.hello())
}

func (s *session) prove(c wire.Challenge) *wire.Proof {
	sig := vm.SignProof(s.key, s.cfg.ChainID, s.cfg.VMID, s.cfg.Seq, c.Height, c.Hash)
	return &wire.Proof{Height: c.Height, Signature: sig}
}

// say queues m, or drops it when the host does not read: it will ask again.
func (s *session) say(m wire.ToHost) {
	select {
	case s.out <- m:
	default:
	}
}

// write sends what is queued and a Hello now and then, until ctx ends.
func (s *session) write(ctx context.Context, conn io.Writer) error {
	t := time.NewTicker(s.opts.Every)
	defer t.Stop()
	if err := s.greet(conn); err != nil {
		return ended(ctx, err)
	}
	ready := s.opts.Ready
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ready:
			ready = nil
			if err := s.greet(conn); err != nil {
				return ended(ctx, err)
			}
		case m := <-s.out:
			if err := wire.WriteMessage(conn, m); err != nil {
				return ended(ctx, err)
			}
		case <-t.C:
			if err := s.greet(conn); err != nil {
				return ended(ctx, err)
			}
		}
	}
}

// ended drops an error that only says that the conversation was ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // told to end
	}
	return err
}

func (s *session) greet(conn io.Writer) error {
	return wire.WriteMessage(conn, s.hello())
}

// hello is what the agent says of itself now.
func (s *session) hello() wire.ToHost {
	spoken := wire.Spoken()
	h := &wire.Hello{AgentVersion: s.opts.Version, VMID: string(s.cfg.VMID), Seq: s.cfg.Seq, Protocol: &spoken}
	if s.opts.Status != nil {
		st := s.opts.Status()
		h.MeshUp, h.Error = st.MeshUp, clip(st.Problem)
	}
	if m := s.misfit.Load(); m != nil {
		h.Error = clip(*m)
	}
	m := wire.ToHost{Hello: h}
	if s.opts.Metrics != nil {
		v, err := s.opts.Metrics()
		if err != nil {
			s.opts.Log.Debug("read metrics", "error", err)
		} else {
			m.Metrics = &v
		}
	}
	return m
}

// maxProblem bounds the sentence in a Hello, in bytes.
const maxProblem = 512

func clip(s string) string {
	if len(s) > maxProblem {
		return s[:maxProblem]
	}
	return s
}
