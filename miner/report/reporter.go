package report

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/guestchannel"
)

// Chain takes reports.
type Chain interface {
	// Report sends a batch, at most vm.MaxReports, and returns when it is in a block. Each report has a result, also if none was taken.
	Report(ctx context.Context, reports []vm.Report) ([]vm.ReportResult, error)
}

// Proofs gives the next proof to send after a height, nil for none. With more, a newer one is to follow at once.
type Proofs func(after int64) (p *guestchannel.Proof, more bool)

// pendingReport is what is to be said of a VM, on its way to the chain.
type pendingReport struct {
	// report without its proof, which is added when it is sent.
	report vm.Report
	// proofs is nil for a VM without a guest's agent.
	proofs Proofs
	// before is what the chain has to hear before report; nil for nothing.
	before *ranReport
	// news: the chain has not heard it. superseded: it is not to hear it any more.
	news, superseded bool
	// renewed counts the times it was to be told anew.
	renewed uint
	// provenTo is the height of the last proof the chain took or refused.
	provenTo int64
}

// ranReport says that a VM ran that does not any more.
type ranReport struct {
	// report without its proof, which is nil for a VM without a guest's agent.
	report vm.Report
	proof  *guestchannel.Proof
}

// Config of a Reporter; all but the pace are required.
type Config struct {
	Chain Chain
	// Every is the time between full batches, Gather how long news is held for company.
	Every, Gather time.Duration
	// Pace is the time between messages, of which FreeBurst may go at once after fewer; 0 for FreeEvery. The miner pays a fee
	// for what is sent faster.
	Pace time.Duration
	// Answered is called with a VM's id when the chain took its news or refused it: the state to act upon may have changed.
	Answered func(id vm.ID, taken bool)
	Log      *slog.Logger
}

// Reporter sends reports. It is safe for concurrent use.
type Reporter struct {
	c     Config
	poke  chan struct{}
	limit *rate.Limiter

	mu      sync.Mutex
	pending map[vm.ID]*pendingReport

	taken, refused, failed atomic.Uint64
	heard                  atomic.Int64 // unix nanoseconds of the last batch in a block
}

// Stats of a Reporter.
type Stats struct {
	// Taken and Refused are reports that reached the chain; Failed are messages that did not.
	Taken, Refused, Failed uint64
	// Reported is when the chain last took a message; zero for not yet.
	Reported time.Time
}

// FreeEvery and FreeBurst are what the chain takes without a fee by its default parameters: a message each so often, and several
// at once after fewer.
const (
	FreeEvery = 15 * time.Second
	FreeBurst = 4
)

const (
	// Pauses after an error.
	minPause, maxPause = 100 * time.Millisecond, 5 * time.Second
	// MaxProofAge of a proof that is sent: the chain refuses what is older than 80 s by its blocks, and the report with
	// it. The rest is for the age of the block that was signed, and for the next one to come.
	MaxProofAge = 75 * time.Second
	// finalReportTimeout bounds the last report.
	finalReportTimeout = 3 * time.Second
)

// New makes a reporter; Run starts it.
func New(c Config) *Reporter {
	return &Reporter{
		c: c, poke: make(chan struct{}, 1), pending: map[vm.ID]*pendingReport{},
		limit: rate.NewLimiter(rate.Every(cmp.Or(c.Pace, FreeEvery)), FreeBurst),
	}
}

// Stats counts.
func (r *Reporter) Stats() Stats {
	s := Stats{Taken: r.taken.Load(), Refused: r.refused.Load(), Failed: r.failed.Load()}
	if at := r.heard.Load(); at != 0 {
		s.Reported = time.Unix(0, at)
	}
	return s
}

// Say states what is true of a VM now; report has no proof. Saying it again costs nothing.
func (r *Reporter) Say(report vm.Report, proofs Proofs) { r.say(report, proofs, nil) }

// SayAfter is Say of a VM of which the chain has to hear first that it ran, which the report does not say any more: it gets both in this
// order, the first of them once. It is left out if its proof was sent before, or is too old by then.
func (r *Reporter) SayAfter(ran vm.Report, proof *guestchannel.Proof, report vm.Report) {
	r.say(report, nil, &ranReport{report: ran, proof: proof})
}

func (r *Reporter) say(report vm.Report, proofs Proofs, before *ranReport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pending[report.ID]
	if p == nil {
		p = &pendingReport{}
		r.pending[report.ID] = p
	} else if p.report == report && !p.superseded {
		p.proofs = proofs
		return
	}
	p.report, p.proofs, p.before, p.news, p.superseded = report, proofs, before, true, false
	r.wake()
}

// Supersede takes back what was said of a VM before it came to this generation: sent again, it would undo what the
// tenant has asked for since. What is true now is to be said anew.
func (r *Reporter) Supersede(id vm.ID, generation uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pending[id]; p != nil && p.report.ObservedGeneration != generation {
		p.superseded = true
	}
}

// Renew has a VM's report go out again at once, with the newest proof.
func (r *Reporter) Renew(id vm.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pending[id]; p != nil && p.proofs != nil {
		p.news = true
		p.renewed++
		r.wake()
	}
}

// Last gives what was last said of a VM and still holds.
func (r *Reporter) Last(id vm.ID) (vm.Report, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pending[id]; p != nil && !p.superseded {
		return p.report, true
	}
	return vm.Report{}, false
}

// Forget a VM: nothing more is said of it.
func (r *Reporter) Forget(id vm.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pending, id)
}

// Run reports until ctx ends. It begins with everything, unless there is news within the wait, and ends with it, so
// that the pause until the next reporter begins late.
func (r *Reporter) Run(ctx context.Context, wait time.Duration) error {
	r.loop(ctx, wait)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalReportTimeout)
	defer cancel()
	if _, err := r.Send(ctx, true); err != nil {
		r.c.Log.Info("last report", "error", err)
	}
	return nil
}

func (r *Reporter) loop(ctx context.Context, wait time.Duration) {
	pause := r.c.Gather
	full := time.NewTimer(wait)
	defer full.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case <-full.C:
			all = true
			full.Reset(r.c.Every)
		case <-r.poke:
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
		sent, err := r.Send(ctx, all)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.c.Log.Warn("report", "error", err)
			pause = min(max(2*pause, minPause), maxPause)
			if all {
				full.Reset(min(pause, r.c.Every))
			} else {
				r.wake()
			}
		case sent:
			pause = r.c.Gather
		}
	}
}

func (r *Reporter) wake() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// sentReport is a pending report as it went out.
type sentReport struct {
	vm.Report // with its proof
	provenTo  int64
	renewed   uint
	more      bool       // a newer proof is to follow at once
	before    *ranReport // the report of the VM follows; nil for any other
}

// Send reports the news, or everything, in as many messages as it takes; with nothing to say, everything is one empty
// message. It returns when all are in blocks, and tells whether it sent.
func (r *Reporter) Send(ctx context.Context, all bool) (bool, error) {
	out := r.batch(all)
	if len(out) == 0 && !all {
		return false, nil
	}
	for first := true; first || len(out) > 0; first = false {
		n := min(len(out), vm.MaxReports)
		if err := r.limit.Wait(ctx); err != nil {
			return true, err
		}
		results, err := r.report(ctx, out[:n])
		if err != nil {
			r.failed.Add(1)
			r.limit.AllowN(time.Now(), -1) // what did not reach a block used nothing of the pace
			for _, s := range out[:n] {
				r.c.Answered(s.ID, false)
			}
			return true, err
		}
		r.heard.Store(time.Now().UnixNano())
		r.settle(out[:n], results)
		out = out[n:]
	}
	return true, nil
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

// batch makes the reports to send.
func (r *Reporter) batch(all bool) []sentReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []sentReport
	for _, id := range slices.Sorted(maps.Keys(r.pending)) {
		p := r.pending[id]
		if p.superseded || !all && !p.news {
			continue
		}
		if s, ok := p.first(); ok {
			out = append(out, s)
		}
		s := sentReport{Report: p.report, provenTo: p.provenTo, renewed: p.renewed}
		if proof, more := p.next(); proof != nil {
			s.Proof, s.provenTo, s.more = &proof.Proof, proof.Height, more
		}
		out = append(out, s)
	}
	return out
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
	case p.report != said:
		return false
	}
	news = p.news
	p.news = s.more || p.renewed != s.renewed // a proof may have come while this was on its way
	if p.news {
		r.wake()
	}
	return news
}
