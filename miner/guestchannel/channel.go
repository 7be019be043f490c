// Package guestchannel is what a miner says with the agent inside a guest, over the VM's virtio-serial channel: it asks
// for proofs that the guest is alive, and tells what changed of the mesh.
//
// A guest is hostile: it may say anything, at any speed, or nothing. What a channel reads of it is bounded in bytes and
// messages a second, each line is bounded by the reader, and only a proof over a block that was asked for counts.
package guestchannel

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
)

// Identity is whose proofs a channel accepts. Without a GuestKey no proof verifies.
type Identity struct {
	ChainID  string
	VM       vm.ID
	Seq      uint32
	GuestKey ed25519.PublicKey
}

// Proof is a guest's proof that was verified.
type Proof struct {
	// Seq is the instance that made it.
	Seq uint32 `json:"seq"`
	vm.Proof
	// At is when it was heard, by this host's clock.
	At time.Time `json:"at"`
}

// Info is what a guest last said of itself; none of it is to be trusted.
type Info struct {
	Hello   wire.Hello
	Metrics wire.Metrics
	// Unsupported says why its protocol is not spoken here; empty when it is.
	Unsupported string
	// HeardAt is when it last said anything, ProvenAt when it last proved itself.
	HeardAt  time.Time
	ProvenAt time.Time
}

// Config of a Channel; all are required.
type Config struct {
	Identity Identity
	// Dial attaches to the host's end of the channel.
	Dial func(ctx context.Context) (net.Conn, error)
	// Head gives the block to sign, nil for none; Mesh what the guest is to know of the mesh, nil for nothing.
	Head func() *vm.Head
	Mesh func() *wire.Mesh
	// Every is the time between challenges.
	Every time.Duration
	// Proven is called after each verified proof that is newer, and must not block.
	Proven func(first bool)
	Log    *slog.Logger
}

// Channel talks to the agent inside one guest for as long as its VM's process runs.
type Channel struct {
	c      Config
	cancel context.CancelFunc
	done   chan struct{}
	untold untold // of the goroutine that talks

	mu     sync.Mutex
	newest *Proof
	info   Info
	// greeted says that the guest said Hello, and so which versions it speaks.
	greeted bool
}

const (
	// Pauses between attachments.
	minPause, maxPause = 100 * time.Millisecond, 5 * time.Second
	writeTimeout       = 5 * time.Second
	// silence after which the channel is opened anew: what waits in its buffers for a guest that was not there is dropped.
	silence = 30 * time.Second
)

// Open starts a channel, which lasts until Close.
func Open(c Config) *Channel {
	l := &Channel{c: c, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go func() {
		defer close(l.done)
		l.run(ctx)
	}()
	return l
}

// Close ends the channel and waits for that. Closing twice does no harm.
func (l *Channel) Close() {
	l.cancel()
	<-l.done
}

// Identity is whose channel it is.
func (l *Channel) Identity() Identity { return l.c.Identity }

// Proof is the newest one verified, nil before the first.
func (l *Channel) Proof() *Proof {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest
}

// Info tells what the guest last said.
func (l *Channel) Info() Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.info
}

func (l *Channel) run(ctx context.Context) {
	pause, last := minPause, ""
	for ctx.Err() == nil {
		heard, err := l.converse(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard {
			pause = minPause
		}
		if text := err.Error(); text != last {
			last = text
			l.c.Log.Debug("guest channel", "vm_id", l.c.Identity.VM, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

var errSilent = errors.New("the guest says nothing")

// converse attaches to the channel and talks until it ends or the guest falls silent. It reports whether the guest said
// anything.
func (l *Channel) converse(ctx context.Context) (heard bool, err error) {
	conn, err := l.c.Dial(ctx)
	if err != nil {
		return false, fmt.Errorf("dial: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()

	messages := make(chan wire.ToHost)
	readErr := make(chan error, 1)
	go func() { readErr <- read(ctx, conn, messages) }()
	defer func() {
		cancel()
		_ = conn.Close()
		<-readErr
		if err == nil {
			err = io.EOF
		}
	}()

	c := &conversation{channel: l, conn: conn, asked: map[int64][]byte{}}
	heard, err = c.run(ctx, messages, readErr)
	c.ended(err)
	return heard, err
}
