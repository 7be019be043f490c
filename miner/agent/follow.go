package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/step"
)

// follower is where following the chain has come to.
type follower struct {
	// heard is the height up to which the chain was heard, stored that on disk. Neither ever goes down.
	heard, stored int64
	// listed: everything was heard, and changes since are enough. What happened
	// while the agent was away may be older than the chain remembers them for.
	listed bool
}

// keepFollowing asks the chain what changed, again and again.
func (a *Agent) keepFollowing(ctx context.Context) error {
	f, err := a.newFollower()
	if err != nil {
		return err
	}
	wait := time.Duration(0)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-a.follow:
		case <-timer.C:
		}
		timer.Stop()
		if err := a.catchUp(ctx, f); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // told to end
			}
			a.Log.Warn("follow chain", "error", err)
			wait = min(max(2*wait, a.c.Poll), 16*a.c.Poll)
			continue
		}
		wait = a.c.Poll
	}
}

func (a *Agent) newFollower() (*follower, error) {
	cursor, err := a.State.Cursor()
	return &follower{heard: cursor, stored: cursor}, err
}

// errBehind is a node that knows less than was heard already: it was restored from a copy, or lags behind the one asked before.
var errBehind = errors.New("the chain's node is behind what was heard before, so nothing is taken from it until it has caught up; " +
	"if the network itself began anew, move the miner's database away")

// catchUp asks the chain what changed, stores it with the cursor, and pokes the
// VMs concerned. The past is not listened to: a VM that has left since would be
// brought up here again, beside the one that runs elsewhere by now.
func (a *Agent) catchUp(ctx context.Context, f *follower) error {
	after := f.heard
	if !f.listed {
		after = 0
	}
	c, err := a.Chain.Changes(ctx, after)
	if err != nil {
		return err
	}
	if c.Height < f.heard {
		f.listed = false // what a restored node is told once more may differ
		return fmt.Errorf("%w: it is at block %d, heard was up to %d", errBehind, c.Height, f.heard)
	}
	if f.stored, err = a.take(c, f.stored); err != nil {
		return err
	}
	f.heard, f.listed = c.Height, true
	return nil
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

// take stores changes and pokes. It returns the cursor that is stored.
func (a *Agent) take(c Changes, stored int64) (int64, error) {
	if err := c.check(); err != nil {
		return stored, err
	}
	if h := c.Head; h.Height > a.headHeight() || c.Full && h.Height > 0 {
		a.head.Store(&h)
	}
	if len(c.VMs) == 0 && len(c.Released) == 0 && !c.Full && c.Height < stored+blocksUnstored {
		a.followed.Store(time.Now().UnixNano())
		return stored, nil
	}
	if err := fault.Point("agent.heard"); err != nil {
		return stored, err
	}
	touched, err := a.State.Apply(c.Changes)
	if err != nil {
		return stored, err
	}
	if err := fault.Point("agent.stored"); err != nil {
		return stored, err
	}
	a.followed.Store(time.Now().UnixNano()) // not before: what is acted upon is what is stored
	for _, id := range touched {
		a.changed(id)
	}
	return c.Height, nil
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
