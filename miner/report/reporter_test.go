package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/guestchannel"
)

// ledger takes reports down.
type ledger struct {
	Chain

	mu      sync.Mutex
	batches [][]vm.Report
	at      []time.Time
	fail    int // how many next batches fail because no node answers
	block   time.Duration
	refuse  map[vm.ID]bool
}

func (l *ledger) Report(_ context.Context, reports []vm.Report) ([]vm.ReportResult, error) {
	time.Sleep(l.block)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail > 0 {
		l.fail--
		return nil, errors.New("no node answers")
	}
	l.batches, l.at = append(l.batches, reports), append(l.at, time.Now())
	out := make([]vm.ReportResult, len(reports))
	for i, r := range reports {
		out[i] = vm.ReportResult{ID: r.ID}
		if l.refuse[r.ID] {
			out[i].Code = 7
		}
	}
	return out, nil
}

func (l *ledger) sizes() (out []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.batches {
		out = append(out, len(b))
	}
	return out
}

// seen gives what came so far, and when.
func (l *ledger) seen() ([][]vm.Report, []time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.batches), slices.Clone(l.at)
}

// report runs a reporter in a bubble until the test ends.
func start(t *testing.T, l *ledger, answered func(vm.ID, bool)) *Reporter {
	t.Helper()
	r := New(Config{Chain: l, Every: 30 * time.Second, Gather: 150 * time.Millisecond, Answered: answered, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx, 0) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return r
}

func silent(vm.ID, bool) {}

func running(id vm.ID, seq uint32) vm.Report {
	return vm.Report{ID: id, InstanceSeq: seq, Phase: vm.Running}
}

func proof(height int64, at time.Time) *guestchannel.Proof {
	return &guestchannel.Proof{Proof: vm.Proof{Height: height, Signature: []byte("s")}, At: at}
}

func TestReporterGathersAndSplits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		r := start(t, l, silent)
		for i := range 300 {
			r.Say(running(vm.ID(fmt.Sprint(i)), 1), nil)
		}
		time.Sleep(time.Second)
		if got := fmt.Sprint(l.sizes()); got != "[0 256 44]" {
			t.Errorf("batches %s, want an empty one at the start, then 256 and 44", got)
		}
		_, at := l.seen()
		if d := at[1].Sub(at[0]); d > 200*time.Millisecond {
			t.Errorf("news waited %s", d)
		}
		time.Sleep(30 * time.Second)
		if got := fmt.Sprint(l.sizes()); got != "[0 256 44 256 44]" {
			t.Errorf("batches %s, want everything again", got)
		}
	})
}

func TestReporterSaysOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		r := start(t, l, silent)
		var newest atomic.Pointer[guestchannel.Proof]
		newest.Store(proof(5, time.Now()))
		proofs := func(int64) (*guestchannel.Proof, bool) { return newest.Load(), false }
		for range 10 {
			r.Say(running("a", 1), proofs)
			time.Sleep(time.Second)
		}
		time.Sleep(21 * time.Second)
		if got := fmt.Sprint(l.sizes()); got != "[0 1 1]" {
			t.Errorf("batches %s", got)
		}
		b, _ := l.seen()
		if b[1][0].Proof.Height != 5 || b[2][0].Proof != nil {
			t.Error("one proof is sent once")
		}
		// Newer, but made long ago: the chain would refuse it, and the report with it.
		newest.Store(proof(6, time.Now().Add(-50*time.Second)))
		time.Sleep(30 * time.Second)
		b, _ = l.seen()
		if b[3][0].Proof != nil {
			t.Error("a stale proof was sent")
		}
		newest.Store(proof(6, time.Now().Add(29*time.Second)))
		time.Sleep(30 * time.Second)
		b, _ = l.seen()
		if b[4][0].Proof.Height != 6 {
			t.Error("a new proof was not sent")
		}
	})
}

// A proof that is worth telling at once is not forgotten because a report of the same VM is on its way.
func TestReporterRenewsWhileOneIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{block: 6 * time.Second}
		r := start(t, l, silent)
		time.Sleep(7 * time.Second)
		var newest atomic.Pointer[guestchannel.Proof]
		r.Say(running("a", 1), func(int64) (*guestchannel.Proof, bool) { return newest.Load(), false })
		time.Sleep(time.Second)
		newest.Store(proof(5, time.Now()))
		r.Renew("a")
		time.Sleep(13 * time.Second) // two blocks, and less than until everything is told again
		if got := fmt.Sprint(l.sizes()); got != "[0 1 1]" {
			t.Fatalf("batches %s", got)
		}
		if b, _ := l.seen(); b[1][0].Proof != nil || b[2][0].Proof.Height != 5 {
			t.Errorf("told were %v and %v", b[1], b[2])
		}
	})
}

func TestReporterTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{fail: 1 + 3}
		r := start(t, l, silent)
		r.Say(running("a", 1), nil)
		time.Sleep(20 * time.Second)
		if got := l.sizes(); len(got) == 0 || got[len(got)-1] > 1 {
			t.Fatalf("batches %v", got)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, b := range l.batches {
			if len(b) == 1 {
				return
			}
		}
		t.Error("the news was lost")
	})
}

func TestReporterAndRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{refuse: map[vm.ID]bool{"bad": true}}
		var mu sync.Mutex
		heard := map[vm.ID]bool{}
		r := start(t, l, func(id vm.ID, taken bool) {
			mu.Lock()
			defer mu.Unlock()
			heard[id] = taken
		})
		r.Say(running("good", 1), nil)
		r.Say(running("bad", 1), nil)
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if taken, ok := heard["bad"]; !ok || taken {
			t.Error("nobody was told of the refusal")
		}
		if !heard["good"] {
			t.Error("nobody was told that news was taken")
		}
		if got := fmt.Sprint(l.sizes()); got != "[0 2]" {
			t.Errorf("batches %s: a refusal is not sent again and again", got)
		}
	})
}

// The first report has something in it, if there is something to say soon: the next one would have to wait a block.
func TestReporterBeginsWithWhatThereIs(t *testing.T) {
	for said, want := range map[time.Duration]string{100 * time.Millisecond: "[1]", 3 * time.Second: "[0]"} {
		synctest.Test(t, func(t *testing.T) {
			l := &ledger{block: 6 * time.Second}
			r := New(Config{Chain: l, Every: 30 * time.Second, Gather: 50 * time.Millisecond, Answered: silent, Log: slog.New(slog.DiscardHandler)})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { _ = r.Run(ctx, 2*time.Second) }()
			time.Sleep(said)
			r.Say(running("a", 1), nil)
			time.Sleep(10*time.Second - said)
			l.mu.Lock()
			first := len(l.batches[0])
			l.mu.Unlock()
			if got := fmt.Sprintf("[%d]", first); got != want {
				t.Errorf("said after %s: the first batch is %s, want %s", said, got, want)
			}
			cancel()
			synctest.Wait()
			time.Sleep(time.Minute)
		})
	}
}

// The chain takes so many messages a minute without a fee, whatever happens here.
func TestReporterKeepsToTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		r := start(t, l, silent)
		for i := range 600 {
			r.Say(running("a", uint32(i+1)), nil)
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(l.sizes()); n > int(time.Minute/FreeEvery)+FreeBurst {
			t.Errorf("%d messages in a minute", n)
		}
	})
}

// A proof that the chain refused is not sent again: the next newer one is.
func TestRefusedProofIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		r := start(t, l, silent)
		l.mu.Lock()
		l.refuse = map[vm.ID]bool{"a": true}
		l.mu.Unlock()
		var newest atomic.Int64
		newest.Store(5)
		r.Say(running("a", 1), func(after int64) (*guestchannel.Proof, bool) {
			for h := int64(5); h <= newest.Load(); h++ { // the oldest first, as one that is remembered comes before those of now
				if h > after {
					return proof(h, time.Now()), false
				}
			}
			return nil, false
		})
		time.Sleep(time.Second)
		newest.Store(6)
		time.Sleep(40 * time.Second)
		batches, _ := l.seen()
		var heights []int64
		for _, b := range batches {
			for _, rep := range b {
				if rep.Proof != nil {
					heights = append(heights, rep.Proof.Height)
				}
			}
		}
		if !slices.Equal(heights, []int64{5, 6}) {
			t.Errorf("proofs of the blocks %v were sent, want 5 once and then 6", heights)
		}
	})
}
