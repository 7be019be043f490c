package guestchannel

import (
	"errors"
	"os"
	"reflect"
	"time"

	wire "github.com/hippius/compute/core/guest"
)

// Pauses between attempts to tell a guest of the mesh that it did not take.
const minUntold, maxUntold = 30 * time.Second, 10 * time.Minute

// MaxStuck is the longest that a guest which does not take the mesh is asked for no proof, beside the time between challenges: it falls
// silent, or a write gives up, and the channel is opened anew.
const MaxStuck = silence + writeTimeout + maxPause

// untold is what a channel remembers, over all its conversations, of a mesh that its guest did not take.
type untold struct {
	next  time.Time // not before
	pause time.Duration
	short bool // said that the guest reads no longer lines
}

// tell sends what changed of the mesh to a guest that answers. A line that is stuck half way cannot be taken back, so that the
// conversation ends with it: it comes after a proof and a Hello, and one that was not taken waits, longer each time, while challenges and proofs
// go on.
func (c *conversation) tell() error {
	l := c.channel
	l.mu.Lock()
	greeted, speaks := l.greeted, l.info.Hello.Protocol
	l.mu.Unlock()
	if !c.proven || !greeted || time.Now().Before(l.untold.next) {
		return nil
	}
	whole := l.c.Mesh()
	if whole == nil {
		return nil
	}
	m, err := whole.Fit(speaks)
	if err == nil {
		if c.mesh != nil && reflect.DeepEqual(m, *c.mesh) {
			return nil
		}
		if left := len(whole.Blocklist) - len(m.Blocklist); left > 0 && !l.untold.short {
			l.untold.short = true
			l.c.Log.Warn("the VM's agent is of an earlier version, and told of the newest revoked certificates only: restart the VM",
				"vm_id", l.c.Identity.VM, "blocklist", len(m.Blocklist))
		}
		err = c.send(wire.ToGuest{Mesh: &m})
	}
	if errors.Is(err, wire.ErrTooLong) {
		l.keepUntold(err)
		return nil
	}
	c.mesh, c.unsure = &m, c.order[len(c.order)-1]
	return err
}

// took notes that a guest proved itself over a block. What is written may wait in buffers for a guest that reads no further: only a
// proof that was asked for later says that it was read.
func (c *conversation) took(height int64) {
	if c.unsure != 0 && height > c.unsure {
		c.unsure, c.channel.untold = 0, untold{short: c.channel.untold.short}
	}
}

// ended notes why the conversation did.
func (c *conversation) ended(err error) {
	if c.unsure != 0 && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errSilent)) {
		c.channel.keepUntold(err)
	}
}

// keepUntold says once what keeps a guest from being told of the mesh, and has the next attempt wait.
func (l *Channel) keepUntold(err error) {
	if l.untold.pause == 0 {
		l.c.Log.Warn("the guest is not told of the mesh, will try again; its proofs go on", "vm_id", l.c.Identity.VM, "error", err)
	}
	l.untold.pause = min(max(2*l.untold.pause, minUntold), maxUntold)
	l.untold.next = time.Now().Add(l.untold.pause)
}
