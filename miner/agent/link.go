package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"time"

	"golang.org/x/time/rate"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
)

// A guest is hostile: it may say anything, at any speed, or nothing. What a
// link reads of it is bounded in bytes and messages a second, each line is bounded
// by the reader, and only a proof over a block that was asked for counts.
const (
	// guestBytesPerSecond a guest may say; beyond it is not read, so it waits.
	guestBytesPerSecond = 64 << 10
	guestBurst          = 256 << 10
	// guestWordsPerSecond are messages it may say, some of which are answered.
	guestWordsPerSecond = 200
	guestWordsBurst     = 400
	// openChallenges that an answer may still come to.
	openChallenges = 8
	writeTimeout   = 5 * time.Second
	// silence after which the channel is opened anew: what waits in its
	// buffers for a guest that was not there is dropped.
	silence = 30 * time.Second
)

// identity is whose proofs a link accepts.
type identity struct {
	chainID  string
	vmID     vm.ID
	seq      uint32
	guestKey ed25519.PublicKey
}

// proof is a verified answer.
type proof struct {
	seq       uint32
	height    int64
	signature []byte
	at        time.Time
	// remembered: an earlier agent heard it.
	remembered bool
}

// GuestInfo is what a guest last said of itself; none of it is to be trusted.
type GuestInfo struct {
	Hello   wire.Hello
	Metrics wire.Metrics
	// Misfit says why its words are not understood; empty when they are.
	Misfit string
	// HeardAt is when it last said anything, ProvenAt when it last proved itself.
	HeardAt  time.Time
	ProvenAt time.Time
}

// link talks to the agent inside one guest for as long as its machine runs.
type link struct {
	who   identity
	dial  func(ctx context.Context) (net.Conn, error)
	head  func() *vm.Head
	mesh  func() *wire.Mesh
	every time.Duration
	log   *slog.Logger
	// proven is called after each verified proof, and must not block.
	proven func(first bool)

	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	newest *proof
	info   GuestInfo
}

// start runs the link until stop.
func (l *link) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel, l.done = cancel, make(chan struct{})
	go func() {
		defer close(l.done)
		l.run(ctx)
	}()
}

// stop ends the link and waits for it.
func (l *link) stop() {
	l.cancel()
	<-l.done
}

// proof is the newest one verified, nil before the first.
func (l *link) proof() *proof {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest
}

// guest tells what it last said.
func (l *link) guest() GuestInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.info
}

func (l *link) run(ctx context.Context) {
	pause := 100 * time.Millisecond
	last := ""
	for ctx.Err() == nil {
		heard, err := l.converse(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard {
			pause = 100 * time.Millisecond
		}
		if text := err.Error(); text != last {
			last = text
			l.log.Debug("guest channel", "vm_id", l.who.vmID, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

var errSilent = errors.New("the guest says nothing")

// converse attaches to the channel and talks until it ends or the guest falls
// silent. It reports whether the guest said anything.
func (l *link) converse(ctx context.Context) (heard bool, err error) {
	conn, err := l.dial(ctx)
	if err != nil {
		return false, fmt.Errorf("dial: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()

	words := make(chan wire.ToHost)
	readErr := make(chan error, 1)
	go func() { readErr <- l.read(ctx, conn, words) }()
	defer func() {
		cancel()
		_ = conn.Close()
		<-readErr
		if err == nil {
			err = io.EOF
		}
	}()

	c := &conversation{link: l, conn: conn, asked: map[int64][]byte{}}
	return c.run(ctx, words, readErr)
}

// read passes what the guest says on, slowly if it says much.
func (l *link) read(ctx context.Context, conn io.Reader, words chan<- wire.ToHost) error {
	limit := rate.NewLimiter(guestBytesPerSecond, guestBurst)
	in := wire.NewReader(&throttled{ctx: ctx, r: conn, limit: limit})
	pace := rate.NewLimiter(guestWordsPerSecond, guestWordsBurst)
	for {
		var m wire.ToHost
		if err := in.Next(&m); err != nil {
			return err
		}
		if err := pace.Wait(ctx); err != nil {
			return err
		}
		select {
		case words <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// throttled reads no faster than its limit.
type throttled struct {
	ctx   context.Context //nolint:containedctx // io.Reader has no room for it
	r     io.Reader
	limit *rate.Limiter
}

func (t *throttled) Read(p []byte) (int, error) {
	n, err := t.r.Read(p[:min(len(p), guestBurst)])
	if n > 0 {
		if err := t.limit.WaitN(t.ctx, n); err != nil {
			return n, err
		}
	}
	return n, err
}

// conversation is a link's state while attached; one goroutine has it.
type conversation struct {
	link  *link
	conn  net.Conn
	asked map[int64][]byte // height → hash, the open challenges
	order []int64
	mesh  *wire.Mesh // what the guest was told
	heard bool
	met   bool // it was told what this miner speaks
}

func (c *conversation) run(ctx context.Context, words <-chan wire.ToHost, ended chan error) (bool, error) {
	// The guest may have been up for long: ask without waiting for its Hello.
	if err := c.ask(); err != nil {
		return false, err
	}
	tick := time.NewTicker(c.link.every)
	defer tick.Stop()
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.heard, ctx.Err()
		case err := <-ended:
			ended <- err // for converse, which waits for it
			return c.heard, err
		case <-quiet.C:
			return c.heard, errSilent
		case <-tick.C:
			// Until the guest speaks, one question waits for it: more would
			// only be stale when it reads them.
			if c.heard {
				if err := c.ask(); err != nil {
					return c.heard, err
				}
			}
		case m := <-words:
			quiet.Reset(silence)
			if err := c.hear(m); err != nil {
				return c.heard, err
			}
		}
	}
}

// ask sends what changed of the mesh and a challenge over the newest block.
func (c *conversation) ask() error {
	if m := c.link.mesh(); m != nil && !reflect.DeepEqual(m, c.mesh) {
		if err := c.send(wire.ToGuest{Mesh: m}); err != nil {
			return err
		}
		c.mesh = m
	}
	h := c.link.head()
	if h == nil {
		return nil
	}
	if _, open := c.asked[h.Height]; !open {
		c.asked[h.Height] = h.Hash
		c.order = append(c.order, h.Height)
		if len(c.order) > openChallenges {
			delete(c.asked, c.order[0])
			c.order = c.order[1:]
		}
	}
	return c.send(wire.ToGuest{Challenge: &wire.Challenge{Height: h.Height, Hash: h.Hash}})
}

func (c *conversation) send(m wire.ToGuest) error {
	now := time.Now()
	m.UnixMilli = now.UnixMilli()
	if !c.met {
		spoken := wire.Spoken()
		m.Protocol, c.met = &spoken, true
	}
	if err := c.conn.SetWriteDeadline(now.Add(writeTimeout)); err != nil {
		return err
	}
	return wire.WriteMessage(c.conn, m)
}

func (c *conversation) hear(m wire.ToHost) error {
	l := c.link
	first := !c.heard
	c.heard = true
	l.mu.Lock()
	l.info.HeardAt = time.Now()
	if m.Metrics != nil {
		l.info.Metrics = *m.Metrics
	}
	if m.Hello != nil {
		l.info.Hello = bounded(*m.Hello)
		l.info.Misfit = l.misfit(*m.Hello, l.info.Misfit)
	}
	understood := l.info.Misfit == ""
	l.mu.Unlock()
	if !understood {
		return nil // its words, and ours to it, might mean something else
	}
	if m.Proof != nil {
		c.check(*m.Proof)
	}
	// Asked at once: a guest that just came up is waited for.
	if first || m.Hello != nil && l.proof() == nil {
		return c.ask()
	}
	return nil
}

// misfit says why a guest is not understood, and the log when that changes.
func (l *link) misfit(h wire.Hello, before string) string {
	err := wire.Spoken().Meets(h.Protocol)
	if err == nil {
		return ""
	}
	if err.Error() != before {
		l.log.Warn("guest is not understood", "vm_id", l.who.vmID, "agent_version", bounded(h).AgentVersion, "error", err)
	}
	return err.Error()
}

// maxGuestText bounds what is kept of a guest's words, in bytes.
const maxGuestText = 512

func bounded(h wire.Hello) wire.Hello {
	cut := func(s string) string { return s[:min(len(s), maxGuestText)] }
	h.AgentVersion, h.VMID, h.Error = cut(h.AgentVersion), cut(h.VMID), cut(h.Error)
	return h
}

// check accepts a proof over a block that was asked for.
func (c *conversation) check(p wire.Proof) {
	l := c.link
	hash, asked := c.asked[p.Height]
	if !asked || !vm.VerifyProof(l.who.guestKey, l.who.chainID, l.who.vmID, l.who.seq, p.Height, hash, p.Signature) {
		return
	}
	l.mu.Lock()
	first := l.newest == nil
	newer := first || p.Height > l.newest.height
	if newer {
		l.newest = &proof{seq: l.who.seq, height: p.Height, signature: p.Signature, at: time.Now()}
	}
	l.info.ProvenAt = time.Now()
	l.mu.Unlock()
	if newer {
		l.proven(first)
	}
}
