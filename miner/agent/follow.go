package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/internal/follow"
	"github.com/hippius/compute/miner/step"
)

// errBehind is a node that knows less than was heard already: it was restored from a copy, or lags behind the one asked before.
var errBehind = errors.New("the chain's node is behind what was heard before, so nothing is taken from it until it has caught up; " +
	"if the network itself began anew, move the miner's database away")

// listener takes in what changed on the chain.
type listener struct {
	a *Agent
	// stored is the cursor that is on disk. It goes down only if it was of no block.
	stored int64
	// listed: everything was heard, and changes since are enough. What happened
	// while the agent was away may be older than the chain remembers them for.
	listed  bool
	heights follow.Heights
}

// follower of the chain from the cursor on disk on.
func (a *Agent) follower() (*follow.Follower[int64, Changes], error) {
	cursor, err := a.State.Cursor()
	if err != nil {
		return nil, err
	}
	l := &listener{a: a, stored: cursor}
	return follow.New(follow.Config[int64, Changes]{
		Start: cursor, Fetch: l.fetch, Apply: l.apply, Every: a.c.Poll, Poke: a.lookSooner,
		Failed: func(err error) { a.Log.Warn("follow chain", "error", err) },
	}), nil
}

// fetch asks the chain what changed. The past is not listened to: a VM that has left since would be brought up here
// again, beside the one that runs elsewhere by now.
func (l *listener) fetch(ctx context.Context, heard int64) (Changes, int64, error) {
	after := heard
	if !l.listed {
		after = 0
	}
	c, err := l.a.Chain.Changes(ctx, after)
	if err != nil {
		return Changes{}, 0, err
	}
	now := time.Now()
	switch {
	case c.Height < heard && after == 0 && follow.Wrong(heard, c.Height, time.Unix(c.Head.Time, 0), now):
		l.a.Log.Warn("the cursor is of no block of this chain; everything is heard anew", "height", c.Height, "cursor", heard)
	case c.Height < heard:
		l.listed = false // what a restored node is told once more may differ
		return Changes{}, 0, fmt.Errorf("%w: it is at block %d, heard was up to %d", errBehind, c.Height, heard)
	default:
		if err := l.heights.Check(c.Height, now); err != nil {
			return Changes{}, 0, fmt.Errorf("the chain node's answer is not used: %w", err)
		}
	}
	if err := c.check(); err != nil {
		return Changes{}, 0, err
	}
	l.heights.Heard(c.Height, now)
	return c, c.Height, nil
}

// check refuses the answer of a node that names what no chain does: ids end up
// in paths and in the names of domains.
func (c Changes) check() error {
	for _, v := range c.VMs {
		if _, err := vm.ParseID(string(v.ID)); err != nil {
			return fmt.Errorf("the chain node's answer is not used: %w", err)
		}
	}
	for _, id := range c.Released {
		if _, err := vm.ParseID(string(id)); err != nil {
			return fmt.Errorf("the chain node's answer is not used: %w", err)
		}
	}
	return nil
}

// blocksUnstored may pass without a change before the cursor is stored: one
// that is too old only has changes told again.
const blocksUnstored = 64

// apply stores changes together with the cursor, and pokes the VMs concerned.
func (l *listener) apply(_ context.Context, c Changes, next int64) error {
	a := l.a
	if h := c.Head; h.Height > a.headHeight() || c.Full && h.Height > 0 {
		a.head.Store(&h)
	}
	if len(c.VMs) == 0 && len(c.Released) == 0 && !c.Full && next < l.stored+blocksUnstored {
		a.followed.Store(time.Now().UnixNano())
		l.listed = true
		return nil
	}
	if err := fault.Point("agent.heard"); err != nil {
		return err
	}
	touched, err := a.State.Apply(c.Changes)
	if err != nil {
		return err
	}
	if err := fault.Point("agent.stored"); err != nil {
		return err
	}
	a.followed.Store(time.Now().UnixNano()) // not before: what is acted upon is what is stored
	for _, id := range touched {
		a.changed(id)
	}
	l.stored, l.listed = next, true
	return nil
}

// work is a step in progress.
type work struct {
	direction step.Direction
	seq       uint32
	cancel    context.CancelFunc
}

// changed looks at a VM anew, and ends a step that leads elsewhere: nobody
// waits for a download or a shutdown that is not wanted any more, or for the
// guest of an earlier instance.
func (a *Agent) changed(id vm.ID) {
	r, ok, err := a.State.Get(id)
	if err != nil {
		a.Log.Error("read VM", "vm_id", id, "error", err)
	} else if ok {
		d := r.Desired()
		a.reporter.Supersede(id, d.Generation)
		a.mu.Lock()
		if now, busy := a.working[id]; busy && (now.direction != d.Direction() || now.seq != d.Seq) {
			now.cancel()
		}
		a.mu.Unlock()
	}
	a.loop.Poke(id)
}

// headHeight is that of the newest block heard of; 0 for none.
func (a *Agent) headHeight() int64 {
	if h := a.head.Load(); h != nil {
		return h.Height
	}
	return 0
}
