// Package agenttest is a small working chain for tests of what follows one: it
// moves VMs by core/vm's transition function, takes a miner's reports and checks
// guests' proofs. It has no money, no placement and no consensus. What an agent
// sees of it is what chaintest asks of every chain.
package agenttest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/record"
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
	first    int64         // the oldest of them
	every    time.Duration // between blocks
	queue    []*batch      // for the next block
	behind   time.Duration // its clock, to the host's
	history  map[vm.ID][]string
	batches  []int
	refusals []string
	proofs   map[vm.ID][]int64
	away     error
	asked    int
	confirms map[vm.ID]int
	dissent  map[vm.ID]vm.VM

	// Size of new VMs; set it before there is one.
	Size plan.Size
}

// New makes a chain without VMs. Run makes its blocks.
func New() *Chain {
	c := &Chain{
		height: 10, first: 11, vms: map[vm.ID]*vm.VM{}, released: map[vm.ID]int64{}, heads: map[int64]head{}, every: 10 * time.Millisecond,
		history: map[vm.ID][]string{}, proofs: map[vm.ID][]int64{}, dissent: map[vm.ID]vm.VM{}, confirms: map[vm.ID]int{},
		Size: plan.Size{VCPUs: 1, MemoryMiB: 2048, DiskGiB: 18, IOPS: 500, DiskBytesPerSecond: 50e6, NetworkBitsPerSecond: 100e6},
	}
	c.block()
	return c
}

// block makes the next one. c.mu is held or c is not shared.
func (c *Chain) block() {
	c.height++
	sum := sha256.Sum256(fmt.Appendf(nil, "block %d", c.height))
	now := time.Now().Add(-c.behind).Unix()
	c.heads[c.height] = head{hash: sum[:], at: now}
	for ; now-c.heads[c.first].at > maxProofAge; c.first++ {
		delete(c.heads, c.first)
	}
}

// head is a block that a guest may sign.
type head struct {
	hash []byte
	at   int64
}

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
	c.asked++
	if c.away != nil {
		return agent.Changes{}, c.away
	}
	out := agent.Changes{
		Changes: record.Changes{Height: c.height, Full: after <= 0 || after < c.oldest},
		Head:    vm.Head{Height: c.height, Hash: c.heads[c.height].hash, Time: c.heads[c.height].at},
	}
	for _, v := range c.vms {
		if v.Status.Miner == Miner && (out.Full || v.ChangedHeight > after) {
			told := clone(*v)
			told.Instances = slices.DeleteFunc(told.Instances, func(in vm.Instance) bool { return in.Seq > v.Status.InstanceSeq })
			out.VMs = append(out.VMs, told)
		}
	}
	for id, at := range c.released {
		if at > after && !out.Full && c.vms[id].Status.Miner != Miner { // else it holds it again
			out.Released = append(out.Released, id)
		}
	}
	return out, nil
}

func clone(v vm.VM) vm.VM {
	v.Instances, v.AuthorizedKeys = slices.Clone(v.Instances), slices.Clone(v.AuthorizedKeys)
	if v.Resize != nil {
		size := *v.Resize
		v.Resize = &size
	}
	return v
}

// Everywhere implements agent.Chain, with two endpoints that know the same VMs.
func (c *Chain) Everywhere(_ context.Context, id vm.ID) ([]vm.VM, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.confirms[id]++
	if c.away != nil {
		return nil, c.away
	}
	v := c.vms[id]
	if v == nil {
		return nil, fmt.Errorf("VM %s: %w", id, agent.ErrUnknown)
	}
	one, two := clone(*v), clone(*v)
	if d, ok := c.dissent[id]; ok {
		two = d
	}
	return []vm.VM{one, two}, nil
}

// Prune has the chain forget a VM.
func (c *Chain) Prune(id vm.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.vms, id)
	delete(c.released, id)
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

// Asked counts the questions for changes, AskedEverywhere those to each endpoint for a VM; also those without an answer.
func (c *Chain) Asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// AskedEverywhere is at Asked.
func (c *Chain) AskedEverywhere(id vm.ID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.confirms[id]
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
