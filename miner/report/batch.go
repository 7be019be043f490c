package report

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/guestchannel"
)

// sentReport is a pending report as it went out.
type sentReport struct {
	vm.Report // with its proof
	provenTo  int64
	renewed   uint
	more      bool       // a newer proof is to follow at once
	before    *ranReport // the report of the VM follows; nil for any other
}

// Send reports the news, or everything, in as many messages as it takes; with nothing to say, everything is one empty
// message. Each message is made when it may go out, of what is true and new then: a round of everything that takes long holds up no
// news. It returns when all are in blocks, and tells whether it sent.
func (r *Reporter) Send(ctx context.Context, all bool) (bool, error) {
	if all {
		r.setDue()
	} else if !r.hasNews() {
		return false, nil
	}
	sent := false
	for {
		if err := r.limit.Wait(ctx); err != nil {
			return true, err
		}
		out, rest := r.batch()
		if len(out) == 0 && (sent || !all) { // it is not to be said any more
			r.limit.AllowN(time.Now(), -1)
			return sent, nil
		}
		sent = true
		results, err := r.report(ctx, out)
		if err != nil {
			r.failed.Add(1)
			r.limit.AllowN(time.Now(), -1) // what did not reach a block used nothing of the pace
			for _, s := range out {
				r.c.Answered(s.ID, false)
			}
			return true, err
		}
		r.heard.Store(time.Now().UnixNano())
		r.settle(out, results)
		if !rest {
			return true, nil
		}
	}
}

// setDue has everything told.
func (r *Reporter) setDue() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pending {
		p.due = true
	}
}

func (r *Reporter) hasNews() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pending {
		if p.news && !p.superseded {
			return true
		}
	}
	return false
}

func (r *Reporter) report(ctx context.Context, out []sentReport) ([]vm.ReportResult, error) {
	if err := fault.Point("agent.reporting"); err != nil {
		return nil, err
	}
	reports := make([]vm.Report, len(out))
	for i, s := range out {
		reports[i] = s.Report
	}
	results, err := r.c.Chain.Report(ctx, reports)
	if err != nil {
		return nil, err
	}
	return results, fault.Point("agent.reported")
}

// rank is the order in which VMs are told of.
type rank uint8

const (
	// turning: there is news of it, and it is on its way up, or off. The chain has a deadline for it, or others wait for its place.
	turning rank = iota
	// up: there is news of one that runs, as a proof.
	up
	// repeated: nothing is new of it.
	repeated
	// nothing is to be said of it.
	nothing
)

func (p *pendingReport) rank() rank {
	switch {
	case p.superseded || !p.news && !p.due:
		return nothing
	case !p.news:
		return repeated
	case p.report.Phase == vm.Running:
		return up
	default:
		return turning
	}
}

// batch makes the next message: what is new first, then what was not told of for longest. With rest, not all had room in it.
func (r *Reporter) batch() (out []sentReport, rest bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	type entry struct {
		id   vm.ID
		rank rank
		p    *pendingReport
	}
	var list []entry
	for id, p := range r.pending {
		if at := p.rank(); at != nothing {
			list = append(list, entry{id, at, p})
		}
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.p.toldIn, b.p.toldIn), cmp.Compare(a.id, b.id))
	})
	for _, e := range list {
		var of []sentReport
		if s, ok := e.p.first(); ok {
			of = append(of, s)
		}
		s := sentReport{Report: e.p.report, provenTo: e.p.provenTo, renewed: e.p.renewed}
		if proof, more := e.p.next(); proof != nil {
			s.Proof, s.provenTo, s.more = &proof.Proof, proof.Height, more
		}
		if of = append(of, s); len(out)+len(of) > min(vm.MaxReports, len(r.pending)+Spare) {
			return out, true
		}
		out = append(out, of...)
	}
	return out, false
}

// first is what is to be sent before the report; ok is false if there is nothing, or nothing any more.
func (p *pendingReport) first() (s sentReport, ok bool) {
	b := p.before
	if b == nil {
		return s, false
	}
	s = sentReport{Report: b.report, provenTo: p.provenTo, before: b}
	if b.proof != nil {
		if b.proof.Height <= p.provenTo || time.Since(b.proof.At) >= MaxProofAge {
			p.before = nil
			return s, false
		}
		s.Proof, s.provenTo = &b.proof.Proof, b.proof.Height
	}
	return s, true
}

// next is the proof to send, new to the chain and not too old for it, and whether a newer one is to follow at once.
func (p *pendingReport) next() (*guestchannel.Proof, bool) {
	if p.proofs == nil {
		return nil, false
	}
	for after := p.provenTo; ; {
		proof, more := p.proofs(after)
		if proof == nil || proof.Height <= after {
			return nil, false
		}
		if time.Since(proof.At) < MaxProofAge {
			return proof, more
		}
		after = proof.Height
	}
}

// settle notes the chain's answers.
func (r *Reporter) settle(out []sentReport, results []vm.ReportResult) {
	r.mu.Lock()
	r.messages++
	r.mu.Unlock()
	for i, s := range out {
		taken := i < len(results) && results[i].Code == 0
		if taken {
			r.taken.Add(1)
		} else {
			r.refused.Add(1)
			message := "no answer"
			if i < len(results) {
				message = results[i].Message
			}
			r.c.Log.Info("report not accepted", "vm_id", s.ID, "phase", s.Phase.String(), "instance_seq", s.InstanceSeq, "message", message)
		}
		if r.noteAnswer(s) || !taken {
			r.c.Answered(s.ID, taken)
		}
	}
}

// noteAnswer notes that a report is in a block, and tells whether it was news.
func (r *Reporter) noteAnswer(s sentReport) (news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := s.Report
	said.Proof = nil
	p := r.pending[s.ID]
	if p != nil && p.report.InstanceSeq == said.InstanceSeq {
		p.provenTo = max(p.provenTo, s.provenTo) // one that was refused once is not sent again
	}
	switch {
	case p == nil:
		return false
	case s.before != nil:
		if p.before == s.before {
			p.before = nil
		}
		return false
	}
	p.due, p.toldIn = false, r.messages
	if p.report != said {
		return false
	}
	news = p.news
	p.news = s.more || p.renewed != s.renewed // a proof may have come while this was on its way
	if p.news {
		r.wake()
	}
	return news
}
