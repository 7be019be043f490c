// Package agenttest is a small working chain for tests of what follows one: it
// moves VMs by core/vm's transition function, takes a miner's reports and checks
// guests' proofs. It has no money, no placement and no consensus.
package agenttest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	corevm "github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
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
	vms      map[string]*computev1.VM
	released map[string]int64
	heads    map[int64]head
	every    time.Duration // between blocks
	queue    []*batch      // for the next block
	behind   time.Duration // its clock, to the host's
	history  map[string][]string
	batches  []int
	refusals []string
	proofs   map[string][]int64
	away     error
	dissent  map[string]*computev1.VM

	// Size of new VMs; set it before there is one.
	Size *computev1.Size
}

// New makes a chain without VMs. Run makes its blocks.
func New() *Chain {
	c := &Chain{
		height: 10, vms: map[string]*computev1.VM{}, released: map[string]int64{}, heads: map[int64]head{}, every: 10 * time.Millisecond,
		history: map[string][]string{}, proofs: map[string][]int64{}, dissent: map[string]*computev1.VM{},
		Size: &computev1.Size{Vcpus: 1, MemoryMib: 2048, DiskGib: 18, Iops: 500, DiskBytesPerSecond: 50e6, NetworkBitsPerSecond: 100e6},
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
		Height: c.height, Full: after <= 0 || after < c.oldest,
		Head: &computev1.Head{Height: c.height, Hash: c.heads[c.height].hash, Time: c.heads[c.height].at},
	}
	for _, v := range c.vms {
		if v.GetStatus().GetMiner() == Miner && (out.Full || v.GetChangedHeight() > after) {
			out.VMs = append(out.VMs, clone(v))
		}
	}
	for id, at := range c.released {
		if at > after && !out.Full {
			out.Released = append(out.Released, id)
		}
	}
	return out, nil
}

func clone(v *computev1.VM) *computev1.VM {
	out, ok := proto.Clone(v).(*computev1.VM)
	if !ok {
		panic("clone changed the type")
	}
	return out
}

// Everywhere implements agent.Chain, with two endpoints.
func (c *Chain) Everywhere(_ context.Context, id string) ([]*computev1.VM, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return nil, c.away
	}
	var one, two *computev1.VM
	if v := c.vms[id]; v != nil {
		one, two = clone(v), clone(v)
	}
	if d, ok := c.dissent[id]; ok {
		two = d
	}
	return []*computev1.VM{one, two}, nil
}

// batch of reports on its way into a block.
type batch struct {
	reports []*computev1.VMReport
	results []*computev1.ReportResult
	err     error
	done    chan struct{}
}

// slow is from when on reports wait for the next block. Where blocks come more often, each batch makes its own.
const slow = time.Second

// Report implements agent.Chain. A batch that was handed in gets into a block, whether or not its sender waits for that.
func (c *Chain) Report(ctx context.Context, reports []*computev1.VMReport) ([]*computev1.ReportResult, error) {
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
	if len(b.reports) > agent.MaxBatch {
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
		res := &computev1.ReportResult{VmId: r.GetVmId()}
		if err := c.apply(r); err != nil {
			res.Code, res.Message = 1, err.Error()
			c.refusals = append(c.refusals, err.Error())
		} else {
			good++
		}
		b.results = append(b.results, res)
	}
	if len(b.reports) > 0 && good == 0 {
		b.err = fmt.Errorf("all reports refused: %s", b.results[0].GetMessage())
	}
}

// apply one report. c.mu is held.
func (c *Chain) apply(r *computev1.VMReport) error {
	v := c.vms[r.GetVmId()]
	switch {
	case v == nil:
		return errors.New("no such VM")
	case v.GetStatus().GetMiner() != Miner:
		return errors.New("another miner holds it")
	case v.GetStatus().GetInstanceSeq() != r.GetInstanceSeq():
		return fmt.Errorf("report of instance %d, it is at %d", r.GetInstanceSeq(), v.GetStatus().GetInstanceSeq())
	case len(r.GetMessage()) > corevm.MaxMessageLen || len(r.GetReason()) > corevm.MaxReasonLen:
		return errors.New("reason or message too long")
	}
	ev, ok := corevm.ReportOf(corevm.Phase(r.GetPhase()))
	if !ok {
		return fmt.Errorf("phase %s is not for a miner to report", r.GetPhase())
	}
	s := v.GetStatus()
	// What was seen before the tenant's last wish must not undo it.
	if before := s.GetPhase(); r.GetObservedGeneration() < v.GetGeneration() && before != r.GetPhase() {
		return fmt.Errorf("report of generation %d, it is at %d", r.GetObservedGeneration(), v.GetGeneration())
	}
	if size := v.GetResize(); size.GetRestart() && r.GetSizeGeneration() < size.GetGeneration() &&
		s.GetPhase() == computev1.Phase_PHASE_REBOOTING && ev == corevm.ReportRunning {
		ev = corevm.ReportRebooting // it is not in effect yet
	}
	if err := c.event(v, ev, corevm.Miner); err != nil {
		return err
	}
	if !corevm.Phase(s.GetPhase()).On() {
		s.GetAttestation().LastAt = 0 // what follows is another run
	}
	s.Reason, s.Message = r.GetReason(), r.GetMessage()
	s.ObservedGeneration, s.ObservedRebootSeq = r.GetObservedGeneration(), max(s.GetObservedRebootSeq(), r.GetObservedRebootSeq())
	if p := r.GetProof(); p != nil {
		if err := c.prove(v, p); err != nil {
			return err
		}
	}
	if s.GetPhase() == computev1.Phase_PHASE_RUNNING {
		s.HasData = true
		if size := v.GetResize(); size != nil && r.GetProof() != nil && r.GetSizeGeneration() >= size.GetGeneration() {
			v.Size, v.Resize = size.GetSize(), nil
		}
	}
	c.history[v.GetId()] = append(c.history[v.GetId()], fmt.Sprintf("%s %s", corevm.Phase(r.GetPhase()), r.GetReason()))
	if s.GetPhase() == computev1.Phase_PHASE_TERMINATED || s.GetPhase() == computev1.Phase_PHASE_FAILED && !s.GetHasData() {
		c.release(v) // for ever, or to be placed elsewhere
	}
	return nil
}

func (c *Chain) prove(v *computev1.VM, p *computev1.ProofReport) error {
	a := v.GetStatus().GetAttestation()
	h, known := c.heads[p.GetHeight()]
	if !known || p.GetHeight() <= a.GetProofHeight() || c.heads[c.height].at-h.at > maxProofAge {
		return fmt.Errorf("proof of height %d, known to %d", p.GetHeight(), a.GetProofHeight())
	}
	seq := v.GetStatus().GetInstanceSeq()
	if !corevm.VerifyProof(v.GetInstances()[seq-1].GetGuestKey(), ChainID, v.GetId(), seq, p.GetHeight(), h.hash, p.GetSignature()) {
		return errors.New("the proof does not verify")
	}
	a.ProofHeight = p.GetHeight()
	c.proofs[v.GetId()] = append(c.proofs[v.GetId()], h.at)
	a.RunningSeconds += uint64(corevm.Attested(a.GetLastAt(), h.at, maxProofGap)) //nolint:gosec // never negative
	a.LastAt = h.at
	return nil
}

// event moves a VM. c.mu is held.
func (c *Chain) event(v *computev1.VM, ev corevm.Event, by corevm.Actor) error {
	s := v.GetStatus()
	next, err := corevm.Next(corevm.State{
		Phase: corevm.Phase(s.GetPhase()), Held: s.GetMiner() != "", HasData: s.GetHasData(),
		On: v.GetSpec().GetPower() == computev1.Power_POWER_ON,
	}, ev, by)
	if err != nil {
		return err
	}
	if corevm.Phase(s.GetPhase()) != next {
		v.ChangedHeight = c.height
	}
	s.Phase = computev1.Phase(next)
	return nil
}

// release takes a VM from its miner. c.mu is held.
func (c *Chain) release(v *computev1.VM) {
	c.block()
	v.Status.Miner, v.ChangedHeight = "", c.height
	c.released[v.GetId()] = c.height
}

// Order is what a tenant asks.
func (c *Chain) Order(id string, ev corevm.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block()
	v := c.vms[id]
	if err := c.event(v, ev, corevm.Tenant); err != nil {
		return err
	}
	v.Generation++
	v.ChangedHeight = c.height
	switch ev { //nolint:exhaustive // the rest is no order
	case corevm.Start:
		v.Spec.Power = computev1.Power_POWER_ON
	case corevm.Stop:
		v.Spec.Power = computev1.Power_POWER_OFF
	case corevm.Reboot:
		v.Spec.RebootSeq++
	case corevm.Rebuild:
		v.Spec.Power = computev1.Power_POWER_ON
		v.Status.HasData = false
		v.Status.InstanceSeq++
		v.Status.RebuildInstance = v.GetStatus().GetInstanceSeq()
	}
	return nil
}

// Resize is a tenant's order of another size; it is restarted for it or not.
func (c *Chain) Resize(id string, to *computev1.Size, restart bool) error {
	ev := corevm.Resize
	if restart {
		ev = corevm.ResizeRestart
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block()
	v := c.vms[id]
	if err := c.event(v, ev, corevm.Tenant); err != nil {
		return err
	}
	v.Generation++
	v.ChangedHeight = c.height
	v.Resize = &computev1.Resize{Generation: v.GetGeneration(), Size: to, Restart: restart}
	return nil
}

// Create assigns a new VM to the miner, with the guest keys of instances 1 to n.
func (c *Chain) Create(id, owner string, spec *computev1.VMSpec, authorized []string, guestKeys ...ed25519.PublicKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block()
	v := &computev1.VM{
		Id: id, Owner: owner, Spec: spec, Generation: 1, ChangedHeight: c.height, AuthorizedKeys: authorized, Size: c.Size,
		Status: &computev1.VMStatus{
			Phase: computev1.Phase_PHASE_ASSIGNED, Miner: Miner, InstanceSeq: 1, Attestation: &computev1.Attestation{},
		},
	}
	for i, key := range guestKeys {
		v.Instances = append(v.Instances, &computev1.Instance{Seq: uint32(i) + 1, GuestKey: key}) //nolint:gosec // a few
	}
	c.vms[id] = v
}

// Change edits a VM as only the chain itself could, in a new block.
func (c *Chain) Change(id string, f func(v *computev1.VM)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block()
	f(c.vms[id])
	c.vms[id].ChangedHeight = c.height
}

// Dissent has the second endpoint tell of the VM as it is now, for ever; Agree
// ends that.
func (c *Chain) Dissent(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dissent[id] = clone(c.vms[id])
}

// Agree has both endpoints tell the same again.
func (c *Chain) Agree(id string) {
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

// Move gives a VM to another miner.
func (c *Chain) Move(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vms[id]
	c.release(v)
	v.Status.Miner, v.Status.InstanceSeq, v.Status.Phase = "hip1other", v.GetStatus().GetInstanceSeq()+1, computev1.Phase_PHASE_ASSIGNED
}

// SetAway has every call fail, or with nil work again.
func (c *Chain) SetAway(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = err
}

// Get gives a VM as it is now.
func (c *Chain) Get(id string) *computev1.VM {
	c.mu.Lock()
	defer c.mu.Unlock()
	return clone(c.vms[id])
}

// Phase of a VM.
func (c *Chain) Phase(id string) corevm.Phase { return corevm.Phase(c.Get(id).GetStatus().GetPhase()) }

// Saw tells whether "phase reason" was reported of a VM and taken.
func (c *Chain) Saw(id, word string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.history[id], word)
}

// Proven counts the proofs taken.
func (c *Chain) Proven(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.proofs[id])
}

// ProofTimes are the times of the blocks that the proofs taken sign.
func (c *Chain) ProofTimes(id string) []int64 {
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
