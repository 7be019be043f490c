package agent

import (
	"context"
	"crypto/ed25519"
	"net"
	"sync"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// unit is what is known of a VM in memory only: it is made anew after a
// restart, from the chain, the driver and the keepers.
type unit struct {
	// The loop works on one VM with one goroutine: only link is shared.
	bundles      map[uint32]opened // by instance
	adopted      bool              // network and link were looked at
	resting      bool              // off, and all but the disk removed
	troubleSince time.Time
	given        attempt // the one that was given back as failed
	sized        uint64  // generation whose size the machine has

	mu sync.Mutex
	// remembered is the last proof that an agent before this one noted; nil if there is none.
	remembered *proof
	link       *link
	pid        int       // of the process the link talks to
	linked     time.Time // when it began
	grown      int64     // height known when the disk last grew: later proofs are of the new size
	sizeTold   bool      // one of them went out, or none is waited for
}

// attempt at bringing a VM up.
type attempt struct {
	seq        uint32
	generation uint64
}

// opened secrets of one instance, in memory alone.
type opened struct {
	bundle   instance.Bundle
	userData []byte
}

func (a *Agent) unit(id vm.ID) *unit {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.units[id]
	if u == nil {
		u = &unit{bundles: map[uint32]opened{}}
		a.units[id] = u
	}
	return u
}

func (a *Agent) dropUnit(id vm.ID) {
	a.mu.Lock()
	u := a.units[id]
	delete(a.units, id)
	a.mu.Unlock()
	if u != nil {
		u.dropLink()
	}
}

func (u *unit) getLink() *link {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.link
}

func (u *unit) dropLink() {
	u.mu.Lock()
	l := u.link
	u.link, u.pid = nil, 0
	u.mu.Unlock()
	if l != nil {
		l.stop()
	}
}

// proof is the newest of the present run.
func (u *unit) proof() *proof {
	if l := u.getLink(); l != nil {
		return l.proof()
	}
	return nil
}

// nextProof is the one to report after a height: that of an earlier agent, if the chain has not taken it, and then the
// newest.
func (u *unit) nextProof(s vm.Status, after int64) *proof {
	u.mu.Lock()
	p := u.remembered
	u.mu.Unlock()
	if p != nil && p.seq == s.InstanceSeq && p.height > max(after, s.Attestation.ProofHeight) {
		return p
	}
	return u.proof()
}

// sizeProof is the one to report with a size that is to come into effect: of
// the machine as it is now.
func (u *unit) sizeProof() *proof {
	p := u.proof()
	u.mu.Lock()
	defer u.mu.Unlock()
	if p == nil || p.height <= u.grown {
		return nil
	}
	return p
}

// grew notes that the disk is larger from here on.
func (u *unit) grew(height int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.grown, u.sizeTold = height, false
}

// tellSize reports once that there is a proof of the larger disk.
func (u *unit) tellSize() bool {
	ok := u.sizeProof() != nil
	u.mu.Lock()
	defer u.mu.Unlock()
	ok = ok && u.grown != 0 && !u.sizeTold
	u.sizeTold = u.sizeTold || ok
	return ok
}

// linkedAt is when the guest of the present process began to be listened to.
func (u *unit) linkedAt() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.linked
}

// keepLink has a link to the guest of a running machine: one for each process
// and instance.
func (a *Agent) keepLink(u *unit, r record, info hypervisor.Info) {
	id, seq := r.vm.ID, r.vm.Status.InstanceSeq
	if l := u.getLink(); l != nil {
		u.mu.Lock()
		same := l.who.seq == seq && (u.pid == info.PID || info.PID == 0)
		u.mu.Unlock()
		if same {
			return
		}
		u.dropLink()
	}
	l := &link{
		who:    identity{chainID: a.c.ChainID, vmID: id, seq: seq, guestKey: guestKey(r.vm, seq)},
		dial:   func(ctx context.Context) (net.Conn, error) { return a.Driver.DialChannel(ctx, id) },
		head:   a.head.Load,
		mesh:   a.meshOf(r.vm.Owner),
		every:  a.c.ProofEvery,
		log:    a.Log,
		proven: func(first bool) { a.proven(id, first) },
	}
	u.mu.Lock()
	u.link, u.pid, u.linked = l, info.PID, time.Now()
	u.mu.Unlock()
	l.start()
}

// proven is told of each proof; the first one is waited for, and told at once: until the chain has it, a VM that ran
// while there was no agent is not charged. So is the first one after the disk has grown.
func (a *Agent) proven(id vm.ID, first bool) {
	if a.unit(id).tellSize() || first {
		a.reporter.renew(id)
		a.loop.Poke(id)
	}
}

func guestKey(v vm.VM, seq uint32) ed25519.PublicKey {
	i, _ := v.Instance(seq)
	return i.GuestKey // nil for none: no proof will verify
}

// meshOf gives a func that tells what was last seen of an owner's mesh.
func (a *Agent) meshOf(owner string) func() *wire.Mesh {
	return func() *wire.Mesh {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.meshes[owner]
	}
}
