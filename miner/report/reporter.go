package report

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/hippius/compute/core/vm"
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
	// due: it is to be told in the present round of everything. toldIn is the last message that told of it; 0 for none.
	due    bool
	toldIn uint64
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

	mu       sync.Mutex
	pending  map[vm.ID]*pendingReport
	messages uint64 // answered so far

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

// Spare is how many reports more than VMs are in a message, where the chain is told of some twice. It takes 4 without a fee, of which the
// rest is for VMs that the miner held lately.
const Spare = 2

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
