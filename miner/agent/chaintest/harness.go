// Package chaintest is the contract of an agent.Chain as tests: one suite, which the fake chain passes as well as the real
// one. It holds what an agent relies on: what a report is refused for and what it leaves behind, and that who follows the
// changes misses none.
package chaintest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
)

// Instances of each VM that are dealt.
const Instances = 4

// Harness is one chain under test, as one miner has it, and what others do there.
type Harness struct {
	// Chain as the miner asks it.
	Chain agent.Chain
	// ChainID that guests sign for, and the Miner's name.
	ChainID, Miner string
	// Create has a tenant create a VM that is to be on, and the chain assign it to the miner. Its guests have the keys of
	// GuestKey.
	Create func(t *testing.T, mode vm.AgentMode) vm.ID
	// Order is what the VM's tenant asks, but for its size.
	Order func(t *testing.T, id vm.ID, ev vm.Event)
	// Resize orders a larger size, for which a VM that runs is restarted or not.
	Resize func(t *testing.T, id vm.ID, restart bool)
	// Pass lets time pass on the chain.
	Pass func(t *testing.T, d time.Duration)
	// Forget has the chain remember no VM that left the miner before now.
	Forget func(t *testing.T)
}

// GuestKey signs the proofs of an instance.
func GuestKey(id vm.ID, seq uint32) ed25519.PrivateKey {
	sum := sha256.Sum256(fmt.Appendf(nil, "chaintest %s %d", id, seq))
	return ed25519.NewKeyFromSeed(sum[:])
}

// Run puts a chain through the suite. open is called once for each test, in a synctest bubble of its own.
func Run(t *testing.T, open func(t *testing.T) *Harness) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Harness)
	}{
		{"Life", life},
		{"HostsWord", hostsWord},
		{"Refused", refused},
		{"Batch", batch},
		{"Proofs", proofs},
		{"ProofsOfEarlierRuns", proofsOfEarlierRuns},
		{"Overtaken", overtaken},
		{"GuestShutdown", guestShutdown},
		{"Failed", failed},
		{"Reboot", reboot},
		{"Resize", resize},
		{"ResizeWithoutRestart", resizeWithoutRestart},
		{"ResizeStopped", resizeStopped},
		{"Rebuild", rebuild},
		{"Follow", follow},
		{"Released", released},
		{"Everywhere", everywhere},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test.run(t, open(t)) })
		})
	}
}

func (h *Harness) changes(t *testing.T, after int64) agent.Changes {
	t.Helper()
	c, err := h.Chain.Changes(t.Context(), after)
	if err != nil {
		t.Fatalf("changes after %d: %v", after, err)
	}
	return c
}

// everything the miner holds.
func (h *Harness) everything(t *testing.T) map[vm.ID]vm.VM {
	t.Helper()
	all := map[vm.ID]vm.VM{}
	for _, v := range h.changes(t, 0).VMs {
		all[v.ID] = v
	}
	return all
}

// vm is a VM as the chain has it.
func (h *Harness) vm(t *testing.T, id vm.ID) vm.VM {
	t.Helper()
	all, err := h.Chain.Everywhere(t.Context(), id)
	if err != nil || len(all) == 0 {
		t.Fatalf("VM %s at each endpoint: %v, %v", id, all, err)
	}
	return all[0]
}

// held is a VM as the miner is told of it.
func (h *Harness) held(t *testing.T, id vm.ID) vm.VM {
	t.Helper()
	v, ok := h.everything(t)[id]
	if !ok {
		t.Fatalf("VM %s is not among the miner's", id)
	}
	return v
}

// says is a good report of a VM as it now stands, without a proof.
func (h *Harness) says(t *testing.T, id vm.ID, p vm.Phase) vm.Report {
	t.Helper()
	v := h.vm(t, id)
	return vm.Report{
		ID: id, InstanceSeq: v.Status.InstanceSeq, ObservedGeneration: v.Generation, ObservedRebootSeq: v.Spec.RebootSeq,
		SizeGeneration: v.Generation, Phase: p,
	}
}

// proof is the signature of an instance's guest over a block.
func (h *Harness) proof(id vm.ID, seq uint32, head vm.Head) *vm.Proof {
	return &vm.Proof{Height: head.Height, Signature: vm.SignProof(GuestKey(id, seq), h.ChainID, id, seq, head.Height, head.Hash)}
}

// proven adds the guest's proof of the newest block to a report.
func (h *Harness) proven(t *testing.T, r vm.Report) vm.Report {
	t.Helper()
	r.Proof = h.proof(r.ID, r.InstanceSeq, h.changes(t, 0).Head)
	return r
}

// report sends one that has to be taken.
func (h *Harness) report(t *testing.T, r vm.Report) {
	t.Helper()
	results, err := h.Chain.Report(t.Context(), []vm.Report{r})
	if err != nil {
		t.Fatalf("report %s: %v", r.Phase, err)
	}
	if len(results) != 1 || results[0].ID != r.ID || results[0].Code != 0 {
		t.Fatalf("report %s: %+v", r.Phase, results)
	}
}

// is checks a VM's phase and its reason.
func (h *Harness) is(t *testing.T, id vm.ID, p vm.Phase, reason string) vm.VM {
	t.Helper()
	v := h.vm(t, id)
	if v.Status.Phase != p || v.Status.Reason != reason {
		t.Fatalf("the VM is %s (%q), want %s (%q)", v.Status.Phase, v.Status.Reason, p, reason)
	}
	return v
}

// up creates a VM and brings it up.
func (h *Harness) up(t *testing.T) vm.ID {
	t.Helper()
	id := h.Create(t, vm.AgentGuest)
	h.report(t, h.says(t, id, vm.Provisioning))
	h.report(t, h.proven(t, h.says(t, id, vm.Running)))
	h.is(t, id, vm.Running, "")
	return id
}

// reports sends a batch.
func (h *Harness) reports(ctx context.Context, batch ...vm.Report) ([]vm.ReportResult, error) {
	return h.Chain.Report(ctx, batch)
}
