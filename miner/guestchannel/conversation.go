package guestchannel

import (
	"context"
	"io"
	"net"
	"time"

	"golang.org/x/time/rate"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
)

const (
	// bytesPerSecond a guest may send; beyond it is not read, so it waits.
	bytesPerSecond = 64 << 10
	byteBurst      = 256 << 10
	// messagesPerSecond it may send, some of which are answered.
	messagesPerSecond = 200
	messageBurst      = 400
	// openChallenges that an answer may still come to.
	openChallenges = 8
)

// read passes what the guest says on, slowly if it says much.
func read(ctx context.Context, conn io.Reader, messages chan<- wire.ToHost) error {
	limit := rate.NewLimiter(bytesPerSecond, byteBurst)
	in := wire.NewReader(&throttled{ctx: ctx, r: conn, limit: limit})
	pace := rate.NewLimiter(messagesPerSecond, messageBurst)
	for {
		var m wire.ToHost
		if err := in.Next(&m); err != nil {
			return err
		}
		if err := pace.Wait(ctx); err != nil {
			return err
		}
		select {
		case messages <- m:
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
	n, err := t.r.Read(p[:min(len(p), byteBurst)])
	if n > 0 {
		if err := t.limit.WaitN(t.ctx, n); err != nil {
			return n, err
		}
	}
	return n, err
}

// conversation is a channel's state while attached; one goroutine has it.
type conversation struct {
	channel *Channel
	conn    net.Conn
	asked   map[int64][]byte // height → hash, the open challenges
	order   []int64
	mesh    *wire.Mesh // what the guest was told
	unsure  int64      // the height that was asked for last before it was told so, until it proves itself over a later block; else 0
	heard   bool
	proven  bool
	met     bool // it was told which protocol this miner speaks
}

func (c *conversation) run(ctx context.Context, messages <-chan wire.ToHost, ended chan error) (bool, error) {
	// The guest may have been up for long: ask without waiting for its Hello.
	if err := c.ask(); err != nil {
		return false, err
	}
	tick := time.NewTicker(c.channel.c.Every)
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
		case m := <-messages:
			quiet.Reset(silence)
			if err := c.hear(m); err != nil {
				return c.heard, err
			}
		}
	}
}

// ask sends a challenge over the newest block, and then what changed of the mesh: no guest is too slow for a challenge.
func (c *conversation) ask() error {
	h := c.channel.c.Head()
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
	if err := c.send(wire.ToGuest{Challenge: &wire.Challenge{Height: h.Height, Hash: h.Hash}}); err != nil {
		return err
	}
	return c.tell()
}

func (c *conversation) send(m wire.ToGuest) error {
	now := time.Now()
	if err := c.conn.SetWriteDeadline(now.Add(writeTimeout)); err != nil {
		return err
	}
	m.UnixMilli = now.UnixMilli()
	if !c.met {
		// An earlier conversation may have left half a line: it ends here, and the guest steps over it.
		if _, err := c.conn.Write([]byte{'\n'}); err != nil {
			return err
		}
		spoken := wire.Spoken()
		m.Protocol, c.met = &spoken, true
	}
	return wire.WriteMessage(c.conn, m)
}

func (c *conversation) hear(m wire.ToHost) error {
	l := c.channel
	first := !c.heard
	c.heard = true
	l.mu.Lock()
	l.info.HeardAt = time.Now()
	if m.Metrics != nil {
		l.info.Metrics = *m.Metrics
	}
	if m.Hello != nil {
		l.greeted = true
		l.info.Hello = bounded(*m.Hello)
		l.info.Unsupported = l.unsupported(*m.Hello, l.info.Unsupported)
	}
	supported := l.info.Unsupported == ""
	l.mu.Unlock()
	if !supported {
		return nil // its messages, and ours to it, might mean something else
	}
	if m.Proof != nil && c.check(*m.Proof) {
		c.took(m.Proof.Height)
		if !c.proven {
			c.proven = true
			if err := c.tell(); err != nil {
				return err
			}
		}
	}
	// Asked at once: a guest that just came up is waited for.
	if first || m.Hello != nil && l.Proof() == nil {
		return c.ask()
	}
	return nil
}

// unsupported says why a guest's protocol is not spoken here, and the log when that changes.
func (l *Channel) unsupported(h wire.Hello, before string) string {
	err := wire.Spoken().Meets(h.Protocol)
	if err == nil {
		return ""
	}
	if err.Error() != before {
		l.c.Log.Warn("the guest's protocol is unsupported", "vm_id", l.c.Identity.VM, "agent_version", bounded(h).AgentVersion, "error", err)
	}
	return err.Error()
}

// maxText bounds each text that is kept of a guest, in bytes.
const maxText = 512

func bounded(h wire.Hello) wire.Hello {
	cut := func(s string) string { return s[:min(len(s), maxText)] }
	h.AgentVersion, h.VMID, h.Error = cut(h.AgentVersion), cut(h.VMID), cut(h.Error)
	return h
}

// check accepts a proof over a block that was asked for, and says whether it is one.
func (c *conversation) check(p wire.Proof) bool {
	l, who := c.channel, c.channel.c.Identity
	hash, asked := c.asked[p.Height]
	if !asked || !vm.VerifyProof(who.GuestKey, who.ChainID, who.VM, who.Seq, p.Height, hash, p.Signature) {
		return false
	}
	l.mu.Lock()
	first := l.newest == nil
	newer := first || p.Height > l.newest.Height
	if newer {
		l.newest = &Proof{Seq: who.Seq, Proof: vm.Proof{Height: p.Height, Signature: p.Signature}, At: time.Now()}
	}
	l.info.ProvenAt = time.Now()
	l.mu.Unlock()
	if newer {
		l.c.Proven(first)
	}
	return true
}
