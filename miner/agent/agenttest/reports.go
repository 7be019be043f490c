package agenttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hippius/compute/core/vm"
)

// The chain's parameters, as x/compute has them by default: seconds that may be charged from proof to proof, and the age
// of a block that may be signed.
const (
	maxProofGap = 80
	maxProofAge = 80
)

// batch of reports on its way into a block.
type batch struct {
	reports []vm.Report
	results []vm.ReportResult
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
		return b.results, nil
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
	for _, r := range b.reports {
		res := vm.ReportResult{ID: r.ID}
		if err := c.apply(r); err != nil {
			res.Code, res.Message = 1, err.Error()
			c.refusals = append(c.refusals, err.Error())
		}
		b.results = append(b.results, res)
	}
}

// apply one report: it takes effect, or leaves no trace. c.mu is held.
func (c *Chain) apply(r vm.Report) error {
	old := c.vms[r.ID]
	if err := mayReport(old, r); err != nil {
		return err
	}
	// It was off, or had failed, before the tenant wished it on.
	if (r.Phase == vm.Stopped || r.Phase == vm.Failed) && old.Spec.On && r.ObservedGeneration < old.Generation {
		return nil
	}
	v := clone(*old)
	s := &v.Status
	s.ObservedGeneration = max(s.ObservedGeneration, r.ObservedGeneration)
	s.ObservedRebootSeq = max(s.ObservedRebootSeq, r.ObservedRebootSeq)
	reason, message := s.Reported(r.Phase, r.Reason, r.Message)
	if err := c.step(&v, eventOf(&v, r), vm.Miner, reason, message, 0); err != nil {
		return err
	}
	at := int64(0)
	switch s.Phase { //nolint:exhaustive // the rest needs nothing more
	case vm.Running, vm.Rebooting:
		var err error
		if at, err = c.alive(&v, r); err != nil {
			return err
		}
	case vm.Stopped:
		if v.Spec.On { // shut down from inside
			v.Spec.On = false
			v.Generation++
			s.Reason = cmp.Or(s.Reason, vm.ReasonGuestShutdown)
		}
	case vm.Failed:
		if s.HasData {
			break
		}
		s.Miner = ""
		if v.Spec.On { // nobody else is here to place it with
			if err := c.step(&v, vm.Retry, vm.Chain, r.Reason, r.Message, 0); err != nil {
				return err
			}
		}
	case vm.Terminated:
		s.Miner = ""
	}
	c.save(old, v)
	c.history[v.ID] = append(c.history[v.ID], fmt.Sprintf("%s %s", r.Phase, r.Reason))
	if r.Proof != nil && at != 0 {
		c.proofs[v.ID] = append(c.proofs[v.ID], at)
	}
	return nil
}

// mayReport wants what a report has to be, of the miner's present instance of a VM.
func mayReport(v *vm.VM, r vm.Report) error {
	if _, ok := vm.ReportOf(r.Phase); !ok {
		return fmt.Errorf("phase %s is not for a miner to report", r.Phase)
	}
	if err := errors.Join(vm.ValidReportReason(r.Reason), vm.ValidMessage(r.Message)); err != nil {
		return err
	}
	switch {
	case v == nil:
		return errors.New("no such VM")
	case v.Status.Miner != Miner:
		return errors.New("another miner holds it")
	case v.Status.InstanceSeq != r.InstanceSeq:
		return fmt.Errorf("report of instance %d, it is at %d", r.InstanceSeq, v.Status.InstanceSeq)
	case max(r.ObservedGeneration, r.SizeGeneration) > v.Generation:
		return fmt.Errorf("report of generation %d and the size of %d, it is at %d", r.ObservedGeneration, r.SizeGeneration, v.Generation)
	case r.Reason == vm.ReasonCreditRunOut && v.Status.Reason != r.Reason:
		return fmt.Errorf("reason %s is the chain's", r.Reason)
	case r.ObservedRebootSeq > v.Spec.RebootSeq:
		return fmt.Errorf("report of reboot %d, it is at %d", r.ObservedRebootSeq, v.Spec.RebootSeq)
	}
	return nil
}

// eventOf is what a report says. What runs and was not rebooted or resized yet is still to be.
func eventOf(v *vm.VM, r vm.Report) vm.Event {
	before := r.ObservedRebootSeq < v.Spec.RebootSeq || v.Resizing(r.SizeGeneration)
	if before && v.Status.Phase == vm.Rebooting && r.Phase == vm.Running {
		return vm.ReportRebooting
	}
	ev, _ := vm.ReportOf(r.Phase) // mayReport saw that there is one
	return ev
}

// alive takes the guest's proof, or the host's word where there is no agent, and gives the time it is of; 0 for none.
func (c *Chain) alive(v *vm.VM, r vm.Report) (at int64, err error) {
	at = c.heads[c.height].at
	a := &v.Status.Attestation
	if v.Spec.Agent != vm.AgentNone {
		if r.Proof == nil {
			a.Saw(rules(), at)
			return 0, nil
		}
		if at, err = c.prove(v, r.Proof); err != nil {
			return 0, err
		}
	}
	if err := a.Prove(rules(), at, v.Rates.Running); err != nil {
		return 0, err
	}
	if v.Status.ReadyAt == 0 {
		v.Status.ReadyAt, v.Status.HasData = at, true
	}
	if size := v.Resize; size != nil && v.Status.Phase == vm.Running && r.SizeGeneration >= size.Generation {
		v.Size, v.Resize = size.Size, nil
	}
	return at, nil
}

// prove checks a guest's proof and gives the time of the block that it signs.
func (c *Chain) prove(v *vm.VM, p *vm.Proof) (int64, error) {
	a := &v.Status.Attestation
	h, known := c.heads[p.Height]
	if !known || p.Height <= a.ProofHeight {
		return 0, fmt.Errorf("proof of height %d, known to %d", p.Height, a.ProofHeight)
	}
	seq := v.Status.InstanceSeq
	if !vm.VerifyProof(v.Instances[seq-1].GuestKey, ChainID, v.ID, seq, p.Height, h.hash, p.Signature) {
		return 0, errors.New("the proof does not verify")
	}
	a.ProofHeight = p.Height
	return h.at, nil
}

// rules of what is attested; no guest is ever silent for too long here.
func rules() vm.AttestRules {
	return vm.AttestRules{Gap: maxProofGap, SilenceSeconds: math.MaxInt64, SilenceReports: math.MaxUint32}
}

// step moves a VM. What was attested until a time counts if its run ends with that; 0 for nothing after the last proof.
func (c *Chain) step(v *vm.VM, ev vm.Event, by vm.Actor, reason, message string, until int64) error {
	s := &v.Status
	from := s.Phase
	to, err := vm.Next(v.State(), ev, by)
	if err != nil {
		return err
	}
	if to != from && (!from.On() || !to.On()) {
		if err := s.Attestation.End(rules(), until, v.Rates.Running); err != nil {
			return err
		}
		s.ReadyAt = 0
		if from.On() || to == vm.Provisioning { // what was signed before belongs to the run before
			s.Attestation.ProofHeight = max(s.Attestation.ProofHeight, c.height-1)
		}
	}
	if to.On() && !from.On() {
		s.Attestation.Begin(c.heads[c.height].at)
	}
	s.Phase, s.Reason, s.Message = to, reason, message
	return nil
}

// save keeps what a VM has become, and notes what has to be told. c.mu is held.
func (c *Chain) save(old *vm.VM, v vm.VM) {
	if old.Generation != v.Generation || old.Status.Phase != v.Status.Phase || old.Status.Miner != v.Status.Miner ||
		old.Status.InstanceSeq != v.Status.InstanceSeq {
		v.ChangedHeight = c.height
	}
	if old.Status.Miner == Miner && v.Status.Miner != Miner {
		c.released[v.ID] = c.height
	}
	*old = v
}
