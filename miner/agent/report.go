package agent

import (
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
)

// statement is what this miner says of a VM, without proof.
type statement struct {
	seq        uint32
	generation uint64
	phase      vm.Phase
	reason     string
	message    string
	rebootSeq  uint64
	sized      uint64
}

// word is a statement on its way to the chain.
type word struct {
	statement
	// proof gives the next one to send after a height; nil without a guest.
	proof func(after int64) *proof
	// news: the chain has not heard it. hushed: it is not to hear it any more.
	news, hushed bool
	// renewed counts the times it was to be told anew.
	renewed uint
	// provenTo is the height of the last proof the chain took.
	provenTo int64
}

// reporter sends statements: news at once, together with what else comes
// within a moment, and everything every so often as a sign of life.
type reporter struct {
	chain Chain
	log   *slog.Logger
	// every is the time between full batches, gather how long news is held
	// for company.
	every, gather time.Duration
	// answered is called with a VM's id when the chain took its news or
	// refused it: the state to act upon may have changed.
	answered func(id vm.ID, taken bool)

	poke  chan struct{}
	limit *rate.Limiter

	mu    sync.Mutex
	words map[vm.ID]*word

	taken, refused, failed atomic.Uint64
	heard                  atomic.Int64 // unix nanoseconds of the last batch in a block
}

// The chain takes a bounded number of messages a minute from one miner.
const (
	messagesPerMinute = 100
	messageBurst      = 10
	// Pauses after an error.
	minReportPause, maxReportPause = 100 * time.Millisecond, 5 * time.Second
	// maxProofAge of a proof that is sent: the chain refuses what is older than 80 s by its blocks, and the report with
	// it. The rest is for the age of the block that was signed, and for the next one to come.
	maxProofAge = 75 * time.Second
	// firstWait is how long an agent that has VMs waits for word of them before it says that it is there.
	firstWait = 2 * time.Second
)

func newReporter(chain Chain, every, gather time.Duration, answered func(vm.ID, bool), log *slog.Logger) *reporter {
	return &reporter{
		chain: chain, log: log, every: every, gather: gather, answered: answered,
		poke: make(chan struct{}, 1), words: map[vm.ID]*word{},
		limit: rate.NewLimiter(rate.Every(time.Minute/messagesPerMinute), messageBurst),
	}
}

// say states what is true of a VM now. Saying it again costs nothing.
func (r *reporter) say(id vm.ID, s statement, proof func(after int64) *proof) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.words[id]
	if w == nil {
		w = &word{news: true}
		r.words[id] = w
	} else if w.statement == s && !w.hushed {
		w.proof = proof
		return
	}
	w.statement, w.proof, w.news, w.hushed = s, proof, true, false
	r.wake()
}

// outdated takes back what was said of a VM before it came to this generation:
// sent again, it would undo what the tenant has asked for since. What is true
// now is to be said anew.
func (r *reporter) outdated(id vm.ID, generation uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.words[id]; w != nil && w.generation != generation {
		w.hushed = true
	}
}

// renew has a VM's statement go out again at once, with the newest proof.
func (r *reporter) renew(id vm.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.words[id]; w != nil && w.proof != nil {
		w.news = true
		w.renewed++
		r.wake()
	}
}

// said gives what was last said of a VM and still holds.
func (r *reporter) said(id vm.ID) (statement, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.words[id]; w != nil && !w.hushed {
		return w.statement, true
	}
	return statement{}, false
}

// forget a VM: nothing more is said of it.
func (r *reporter) forget(id vm.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.words, id)
}

// farewell bounds the last report.
const farewell = 3 * time.Second

// run reports until ctx ends. It begins with everything, unless there is news within the wait, and ends with it, so
// that the pause until the next agent begins late.
func (r *reporter) run(ctx context.Context, wait time.Duration) error {
	r.loop(ctx, wait)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if _, err := r.send(ctx, true); err != nil {
		r.log.Info("last report", "error", err)
	}
	return nil
}

func (r *reporter) loop(ctx context.Context, wait time.Duration) {
	pause := r.gather
	full := time.NewTimer(wait)
	defer full.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case <-full.C:
			all = true
			full.Reset(r.every)
		case <-r.poke:
			if !sleep(ctx, pause) {
				return
			}
		}
		sent, err := r.send(ctx, all)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.log.Warn("report", "error", err)
			pause = min(max(2*pause, minReportPause), maxReportPause)
			if all {
				full.Reset(min(pause, r.every))
			} else {
				r.wake()
			}
		case sent:
			pause = r.gather
		}
	}
}

func (r *reporter) wake() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// sent is a statement as it went out.
type sent struct {
	id vm.ID
	statement
	provenTo int64
	renewed  uint
	more     bool // a newer proof is to follow at once
}

// send reports the news, or everything, in as many messages as it takes; with
// nothing to say, everything is one empty message. It tells whether it sent.
func (r *reporter) send(ctx context.Context, all bool) (bool, error) {
	reports, out := r.batch(all)
	if len(reports) == 0 && !all {
		return false, nil
	}
	for first := true; first || len(reports) > 0; first = false {
		n := min(len(reports), vm.MaxReports)
		if err := r.limit.Wait(ctx); err != nil {
			return true, err
		}
		results, err := r.report(ctx, reports[:n])
		if err != nil {
			r.failed.Add(1)
			// Perhaps all were refused, for what the chain knows and we do not.
			for _, s := range out[:n] {
				r.answered(s.id, false)
			}
			return true, err
		}
		r.heard.Store(time.Now().UnixNano())
		r.settle(out[:n], results)
		reports, out = reports[n:], out[n:]
	}
	return true, nil
}

func (r *reporter) report(ctx context.Context, reports []vm.Report) ([]vm.ReportResult, error) {
	if err := fault.Point("agent.reporting"); err != nil {
		return nil, err
	}
	results, err := r.chain.Report(ctx, reports)
	if err != nil {
		return nil, err
	}
	return results, fault.Point("agent.reported")
}

// batch makes the reports to send.
func (r *reporter) batch(all bool) ([]vm.Report, []sent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var reports []vm.Report
	var out []sent
	for _, id := range slices.Sorted(maps.Keys(r.words)) {
		w := r.words[id]
		if w.hushed || !all && !w.news {
			continue
		}
		s := sent{id: id, statement: w.statement, provenTo: w.provenTo, renewed: w.renewed}
		report := vm.Report{
			ID: id, InstanceSeq: w.seq, ObservedGeneration: w.generation, Phase: w.phase,
			Reason: w.reason, Message: w.message, ObservedRebootSeq: w.rebootSeq,
			SizeGeneration: w.sized,
		}
		if p := w.next(); p != nil {
			report.Proof = &vm.Proof{Height: p.height, Signature: p.signature}
			s.provenTo, s.more = p.height, p.remembered
		}
		reports, out = append(reports, report), append(out, s)
	}
	return reports, out
}

// next is the proof to send: new to the chain, and not too old for it.
func (w *word) next() *proof {
	if w.proof == nil {
		return nil
	}
	for after := w.provenTo; ; {
		p := w.proof(after)
		if p == nil || p.height <= after {
			return nil
		}
		if time.Since(p.at) < maxProofAge {
			return p
		}
		after = p.height
	}
}

// settle notes the chain's answers.
func (r *reporter) settle(out []sent, results []vm.ReportResult) {
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
			r.log.Info("report not taken", "vm_id", s.id, "phase", s.phase.String(), "instance_seq", s.seq, "message", message)
		}
		r.mu.Lock()
		news := false
		if w := r.words[s.id]; w != nil && w.statement == s.statement {
			news = w.news
			w.news = s.more || w.renewed != s.renewed // a proof may have come while this was on its way
			w.provenTo = max(w.provenTo, s.provenTo)  // one that was refused once is not sent again
			if w.news {
				r.wake()
			}
		}
		r.mu.Unlock()
		if news || !taken {
			r.answered(s.id, taken)
		}
	}
}
