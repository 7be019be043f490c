// Package agenttest is a small working chain for tests of what follows one: it
// moves VMs by core/vm's transition function, takes a miner's reports and checks
// guests' proofs. It has no money, no placement and no consensus.
package agenttest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/record"
	"github.com/hippius/compute/miner/report"
)

// The chain's and the only miner's names.
const (
	ChainID = "hippius-test"
	Miner   = "hip1miner"
)

// Chain is safe for concurrent use.
type Chain struct {
	mu       sync.Mutex
	height   int64
	oldest   int64
	vms      map[vm.ID]*vm.VM
	released map[vm.ID]int64
	heads    map[int64]head
	every    time.Duration // between blocks
	queue    []*batch      // for the next block
	behind   time.Duration // its clock, to the host's
	history  map[vm.ID][]string
	batches  []int
	refusals []string
	proofs   map[vm.ID][]int64
	away     error
	dissent  map[vm.ID]vm.VM

	// Size of new VMs; set it before there is one.
	Size plan.Size
}

// New makes a chain without VMs. Run makes its blocks.
func New() *Chain {
	c := &Chain{
		height: 10, vms: map[vm.ID]*vm.VM{}, released: map[vm.ID]int64{}, heads: map[int64]head{}, every: 10 * time.Millisecond,
		history: map[vm.ID][]string{}, proofs: map[vm.ID][]int64{}, dissent: map[vm.ID]vm.VM{},
		Size: plan.Size{VCPUs: 1, MemoryMiB: 2048, DiskGiB: 18, IOPS: 500, DiskBytesPerSecond: 50e6, NetworkBitsPerSecond: 100e6},
	}
	c.block()
	return c
}

// block makes the next one. c.mu is held or c is not shared.
func (c *Chain) block() {
	c.height++
	sum := sha256.Sum256(fmt.Appendf(nil, "block %d", c.height))
	c.heads[c.height] = head{hash: sum[:], at: time.Now().Add(-c.behind).Unix()}
	delete(c.heads, c.height-6000)
}

// head is a block that a guest may sign.
type head struct {
	hash []byte
	at   int64
}

// The chain's parameters, as x/compute has them by default.
const (
	maxProofGap = 80
	maxProofAge = 80
)

// Run makes blocks, a hundred a second unless Every says otherwise, until ctx ends.
func (c *Chain) Run(ctx context.Context) {
	for ctx.Err() == nil {
		c.mu.Lock()
		c.block()
		for _, b := range c.queue {
			c.execute(b)
		}
		c.queue = nil
		every := c.every
		c.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
}

// Every sets the time between blocks.
func (c *Chain) Every(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.every = d
}

// SetBehind has the chain's clock be behind the host's: what a host's clock that was set forward looks like.
func (c *Chain) SetBehind(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for height, h := range c.heads {
		h.at -= int64((d - c.behind) / time.Second)
		c.heads[height] = h
	}
	c.behind = d
}

// Changes implements agent.Chain.
func (c *Chain) Changes(_ context.Context, after int64) (agent.Changes, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return agent.Changes{}, c.away
	}
	out := agent.Changes{
		Changes: record.Changes{Height: c.height, Full: after <= 0 || after < c.oldest},
		Head:    vm.Head{Height: c.height, Hash: c.heads[c.height].hash, Time: c.heads[c.height].at},
	}
	for _, v := range c.vms {
		if v.Status.Miner == Miner && (out.Full || v.ChangedHeight > after) {
			out.VMs = append(out.VMs, clone(*v))
		}
	}
	for id, at := range c.released {
		if at > after && !out.Full {
			out.Released = append(out.Released, id)
		}
	}
	return out, nil
}

func clone(v vm.VM) vm.VM {
	v.Instances, v.AuthorizedKeys = slices.Clone(v.Instances), slices.Clone(v.AuthorizedKeys)
	return v
}

// Everywhere implements agent.Chain, with two endpoints.
func (c *Chain) Everywhere(_ context.Context, id vm.ID) ([]vm.VM, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return nil, c.away
	}
	var one, two vm.VM
	if v := c.vms[id]; v != nil {
		one, two = clone(*v), clone(*v)
	}
	if d, ok := c.dissent[id]; ok {
		two = d
	}
	return []vm.VM{one, two}, nil
}

// batch of reports on its way into a block.
type batch struct {
	reports []vm.Report
	results []vm.ReportResult
	err     error
	done    chan struct{}
}

// slow is from when on reports wait for the next block. Where blocks come more often, each batch makes its own.
const slow = time.Second

// Report implements agent.Chain. A batch that was handed in gets into a block, whether or not its sender waits for that.
func (c *Chain) Report(ctx context.Context, reports []vm.Report) ([]vm.ReportResult, error) {
	b := &batch{reports: reports, done: make(chan struct{})}
	if err := c.handIn(b); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-b.done:
		return b.results, b.err
	}
}

func (c *Chain) handIn(b *batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return c.away
	}
	if len(b.reports) > vm.MaxReports {
		return fmt.Errorf("%d reports", len(b.reports))
	}
	if c.every >= slow {
		c.queue = append(c.queue, b)
		return nil
	}
	c.block()
	c.execute(b)
	return nil
}

// execute a batch in the present block. c.mu is held.
func (c *Chain) execute(b *batch) {
	defer close(b.done)
	c.batches = append(c.batches, len(b.reports))
	good := 0
	for _, r := range b.reports {
		res := vm.ReportResult{ID: r.ID}
		if err := c.apply(r); err != nil {
			res.Code, res.Message = 1, err.Error()
			c.refusals = append(c.refusals, err.Error())
		} else {
			good++
		}
		b.results = append(b.results, res)
	}
	if len(b.reports) > 0 && good == 0 {
		b.err = fmt.Errorf("%w: %s", report.ErrRefused, b.results[0].Message)
	}
}

// apply one report. c.mu is held.
func (c *Chain) apply(r vm.Report) error {
	v := c.vms[r.ID]
	switch {
	case v == nil:
		return errors.New("no such VM")
	case v.Status.Miner != Miner:
		return errors.New("another miner holds it")
	case v.Status.InstanceSeq != r.InstanceSeq:
		return fmt.Errorf("report of instance %d, it is at %d", r.InstanceSeq, v.Status.InstanceSeq)
	case len(r.Message) > vm.MaxMessageLen || len(r.Reason) > vm.MaxReasonLen:
		return errors.New("reason or message too long")
	}
	ev, ok := vm.ReportOf(r.Phase)
	if !ok {
		return fmt.Errorf("phase %s is not for a miner to report", r.Phase)
	}
	s := &v.Status
	// What was seen before the tenant's last request must not undo it.
	if before := s.Phase; r.ObservedGeneration < v.Generation && before != r.Phase {
		return fmt.Errorf("report of generation %d, it is at %d", r.ObservedGeneration, v.Generation)
	}
	if v.Resizing(r.SizeGeneration) && s.Phase == vm.Rebooting && ev == vm.ReportRunning {
		ev = vm.ReportRebooting // it is not in effect yet
	}
	if err := c.event(v, ev, vm.Miner); err != nil {
		return err
	}
	if !s.Phase.On() {
		s.Attestation.LastAt = 0 // what follows is another run
	}
	s.Reason, s.Message = r.Reason, r.Message
	s.ObservedGeneration, s.ObservedRebootSeq = r.ObservedGeneration, max(s.ObservedRebootSeq, r.ObservedRebootSeq)
	if p := r.Proof; p != nil {
		if err := c.prove(v, p); err != nil {
			return err
		}
	}
	if s.Phase == vm.Running {
		s.HasData = true
		if size := v.Resize; size != nil && r.Proof != nil && r.SizeGeneration >= size.Generation {
			v.Size, v.Resize = size.Size, nil
		}
	}
	c.history[v.ID] = append(c.history[v.ID], fmt.Sprintf("%s %s", r.Phase, r.Reason))
	if s.Phase == vm.Terminated || s.Phase == vm.Failed && !s.HasData {
		c.release(v) // for ever, or to be placed elsewhere
	}
	return nil
}

func (c *Chain) prove(v *vm.VM, p *vm.Proof) error {
	a := &v.Status.Attestation
	h, known := c.heads[p.Height]
	if !known || p.Height <= a.ProofHeight || c.heads[c.height].at-h.at > maxProofAge {
		return fmt.Errorf("proof of height %d, known to %d", p.Height, a.ProofHeight)
	}
	seq := v.Status.InstanceSeq
	if !vm.VerifyProof(v.Instances[seq-1].GuestKey, ChainID, v.ID, seq, p.Height, h.hash, p.Signature) {
		return errors.New("the proof does not verify")
	}
	a.ProofHeight = p.Height
	c.proofs[v.ID] = append(c.proofs[v.ID], h.at)
	a.RunningSeconds += uint64(vm.Attested(a.LastAt, h.at, maxProofGap)) //nolint:gosec // never negative
	a.LastAt = h.at
	return nil
}

// event moves a VM. c.mu is held.
func (c *Chain) event(v *vm.VM, ev vm.Event, by vm.Actor) error {
	s := &v.Status
	next, err := vm.Next(v.State(), ev, by)
	if err != nil {
		return err
	}
	if s.Phase != next {
		v.ChangedHeight = c.height
	}
	s.Phase = next
	return nil
}

// release takes a VM from its miner. c.mu is held.
func (c *Chain) release(v *vm.VM) {
	c.block()
	v.Status.Miner, v.ChangedHeight = "", c.height
	c.released[v.ID] = c.height
}

// Dissent has the second endpoint tell of the VM as it is now, for ever; Agree
// ends that.
func (c *Chain) Dissent(id vm.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dissent[id] = clone(*c.vms[id])
}

// Agree has both endpoints tell the same again.
func (c *Chain) Agree(id vm.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.dissent, id)
}

// ForgetReleases has the chain remember no change before now.
func (c *Chain) ForgetReleases() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.released)
	c.oldest = c.height
}

// Batches are the sizes of the batches taken so far.
func (c *Chain) Batches() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.batches)
}

// Account tells what was reported and taken of each VM, and what was refused.
func (c *Chain) Account() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("reports taken: %v\nrefused: %v", c.history, c.refusals)
}

// SetAway has every call fail, or with nil work again.
func (c *Chain) SetAway(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = err
}

// Get gives a VM as it is now.
func (c *Chain) Get(id vm.ID) vm.VM {
	c.mu.Lock()
	defer c.mu.Unlock()
	return clone(*c.vms[id])
}

// Phase of a VM.
func (c *Chain) Phase(id vm.ID) vm.Phase { return c.Get(id).Status.Phase }

// Saw tells whether "phase reason" was reported of a VM and taken.
func (c *Chain) Saw(id vm.ID, word string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.history[id], word)
}

// Proven counts the proofs taken.
func (c *Chain) Proven(id vm.ID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.proofs[id])
}

// ProofTimes are the times of the blocks that the proofs taken sign.
func (c *Chain) ProofTimes(id vm.ID) []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.proofs[id])
}

// Refusals are the reasons for which reports were not taken.
func (c *Chain) Refusals() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.refusals)
}
