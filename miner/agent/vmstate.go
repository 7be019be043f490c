package agent

import (
	"context"
	"net"
	"sync"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/guestchannel"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/record"
)

// vmState is what is known of a VM in memory only: it is made anew after a
// restart, from the chain, the driver and the keepers.
type vmState struct {
	// The loop works on one VM with one goroutine: only the channel is shared.
	bundles      provision.Bundles
	known        bool      // it was adopted, or seen off: what runs was started by this agent
	failingSince time.Time // zero while nothing fails
	lockedSince  time.Time // zero while its secrets were collected, or another failure was in the way
	failed       failedAttempt
	sized        uint64 // generation whose size the VM has

	mu sync.Mutex
	// remembered is the last proof that an agent before this one noted, or of the process that has ended; nil if there is none.
	remembered *guestchannel.Proof
	channel    *guestchannel.Channel
	pid        int       // of the process that the channel leads to
	opened     time.Time // when it was
	grown      int64     // height known when the disk last grew: later proofs are of the new size
	sizeTold   bool      // one of them went out, or none is waited for
}

// failedAttempt at bringing a VM up, which was given back for it.
type failedAttempt struct {
	seq        uint32
	generation uint64
}

func (a *Agent) vmState(id vm.ID) *vmState {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.vms[id]
	if u == nil {
		u = &vmState{}
		a.vms[id] = u
	}
	return u
}

func (a *Agent) forgetVM(id vm.ID) {
	a.mu.Lock()
	u := a.vms[id]
	delete(a.vms, id)
	a.mu.Unlock()
	if u != nil {
		u.closeChannel()
	}
}

func (u *vmState) getChannel() *guestchannel.Channel {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.channel
}

func (u *vmState) closeChannel() {
	u.mu.Lock()
	c := u.channel
	u.channel, u.pid = nil, 0
	u.mu.Unlock()
	if c != nil {
		c.Close()
	}
}

// ended lets go of a guest whose process has ended, and remembers its last proof, which the chain may not have.
func (u *vmState) ended() {
	c := u.getChannel()
	u.closeChannel()
	if c == nil {
		return
	}
	if p := c.Proof(); p != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.remembered = p
	}
}

// begin a new run: what an earlier process said is of the past.
func (u *vmState) begin() {
	u.closeChannel()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.remembered = nil
}

// proof is the newest of the present run.
func (u *vmState) proof() *guestchannel.Proof {
	if l := u.getChannel(); l != nil {
		return l.Proof()
	}
	return nil
}

// nextProof is the one to report after a height: that of an earlier agent or process, if the chain has not taken it, and then the
// newest.
func (u *vmState) nextProof(s vm.Status, after int64) (p *guestchannel.Proof, more bool) {
	if p = u.unheard(s); p != nil && p.Height > after {
		return p, true
	}
	return u.proof(), false
}

// unheard is the remembered proof, if the chain has not taken it; else nil.
func (u *vmState) unheard(s vm.Status) *guestchannel.Proof {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := u.remembered; p != nil && p.Seq == s.InstanceSeq && p.Height > s.Attestation.ProofHeight {
		return p
	}
	return nil
}

// sizeProof is the one to report with a size that is to come into effect: of
// the VM as it is now.
func (u *vmState) sizeProof() *guestchannel.Proof {
	p := u.proof()
	u.mu.Lock()
	defer u.mu.Unlock()
	if p == nil || p.Height <= u.grown {
		return nil
	}
	return p
}

// grew notes that the disk is larger from here on.
func (u *vmState) grew(height int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.grown, u.sizeTold = height, false
}

// tellSize reports once that there is a proof of the larger disk.
func (u *vmState) tellSize() bool {
	ok := u.sizeProof() != nil
	u.mu.Lock()
	defer u.mu.Unlock()
	ok = ok && u.grown != 0 && !u.sizeTold
	u.sizeTold = u.sizeTold || ok
	return ok
}

// listenedFrom is when the guest of the present process began to be listened to.
func (u *vmState) listenedFrom() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.opened
}

// keepChannel has a channel to the guest of a running VM: one for each process
// and instance.
func (a *Agent) keepChannel(u *vmState, r record.Record, info hypervisor.Info) {
	id, seq := r.VM.ID, r.VM.Status.InstanceSeq
	if l := u.getChannel(); l != nil {
		u.mu.Lock()
		same := l.Identity().Seq == seq && (u.pid == info.PID || info.PID == 0)
		u.mu.Unlock()
		if same {
			return
		}
		u.closeChannel()
	}
	instance, _ := r.VM.Instance(seq)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pid, u.opened = info.PID, time.Now()
	u.channel = guestchannel.Open(guestchannel.Config{
		Identity: guestchannel.Identity{ChainID: a.c.ChainID, VM: id, Seq: seq, GuestKey: instance.GuestKey},
		Dial:     func(ctx context.Context) (net.Conn, error) { return a.Driver.DialChannel(ctx, id) },
		Head:     a.head.Load, Mesh: a.meshOf(r.VM.Owner), Every: a.c.ProofEvery,
		Proven: func(first bool) { a.proven(id, first) }, Log: a.Log,
	})
}

// proven is told of each proof; the first one is waited for, and told at once: until the chain has it, a VM that ran
// while there was no agent is not charged. So is the first one after the disk has grown.
func (a *Agent) proven(id vm.ID, first bool) {
	if a.vmState(id).tellSize() || first {
		a.reporter.Renew(id)
		a.loop.Poke(id)
	}
}

// meshOf gives a func that tells what was last seen of an owner's mesh.
func (a *Agent) meshOf(owner string) func() *wire.Mesh {
	return func() *wire.Mesh {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.meshes[owner]
	}
}
