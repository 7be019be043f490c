package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/internal/testkit"
)

// entry is what the chain said of a VM at one time.
type entry struct {
	phase           vm.Phase
	reason, message string
	on              bool
	readyAt, lastAt int64
	disk            bool
	running         int64
	stopped         int64
}

func (e entry) String() string {
	return fmt.Sprintf("%s (%s: %s) ready %d, attested to %d: %d s running, %d s stopped",
		e.phase, e.reason, e.message, e.readyAt, e.lastAt, e.running, e.stopped)
}

// ledger follows one VM on chain, as often as the chain changes it.
type ledger struct {
	net *devnet.Net
	id  vm.ID
	// maxGap is the chain's max_proof_gap_seconds.
	maxGap int64

	mu  sync.Mutex
	all []entry // each differs from the one before
}

// follow begins a ledger that ends with the test.
func follow(t *testing.T, n *devnet.Net, id vm.ID) *ledger {
	t.Helper()
	p, err := n.Chain().Params(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{net: n, id: id, maxGap: p.MaxProofGapSeconds}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			l.look(ctx)
			time.Sleep(100 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	testkit.Eventually(t, time.Minute, func() error { return l.lacks(func(entry) bool { return true }) })
	return l
}

func (l *ledger) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	v, err := l.net.Chain().VM(ctx, l.id)
	if err != nil {
		return // the chain may be what was killed
	}
	s, a := v.Status, v.Status.Attestation
	e := entry{
		phase: s.Phase, reason: s.Reason, message: s.Message, on: v.Spec.On, readyAt: s.ReadyAt, lastAt: a.LastAt, disk: a.Disk,
		running: int64(a.RunningSeconds), stopped: int64(a.StoppedSeconds), //nolint:gosec // seconds of a test
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 || l.all[len(l.all)-1] != e {
		l.all = append(l.all, e)
	}
}

// mark is the place where the ledger ends now.
func (l *ledger) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// now is the newest entry.
func (l *ledger) now() entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[len(l.all)-1]
}

// since lists the entries from a mark on.
func (l *ledger) since(mark int) []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]entry(nil), l.all[min(mark, len(l.all)):]...)
}

func (l *ledger) lacks(is func(entry) bool) error {
	all := l.since(0)
	if len(all) == 0 || !is(all[len(all)-1]) {
		return fmt.Errorf("the chain says %v", all[max(0, len(all)-1):])
	}
	return nil
}

// await waits for an entry from a mark on of which is holds, and gives the first.
func (l *ledger) await(t *testing.T, mark int, what string, is func(entry) bool) (found entry) {
	t.Helper()
	testkit.Eventually(t, 3*time.Minute, func() error {
		all := l.since(mark)
		for _, e := range all {
			if is(e) {
				found = e
				return nil
			}
		}
		return fmt.Errorf("never %s:\n%s", what, listed(all))
	})
	return found
}

func listed(all []entry) string {
	var b strings.Builder
	for _, e := range all {
		fmt.Fprintln(&b, "  ", e)
	}
	return b.String()
}

// check holds every two entries against the rule: of one run the chain charges at
// least the gap before the newer one, or all between them, and never more than that.
func (l *ledger) check(t *testing.T) {
	t.Helper()
	all := l.since(0)
	last := int64(0)
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if a.readyAt != 0 { // else it is when its start will be charged
			last = max(last, a.lastAt)
		}
		charged, between := b.running-a.running, max(b.lastAt, last)-last
		if a.readyAt == 0 || a.readyAt != b.readyAt {
			if charged > between+l.maxGap {
				t.Errorf("%d s were charged between runs:\n%s", charged, listed(all[i-1:i+1]))
			}
			continue
		}
		if charged > between || charged < min(between, l.maxGap) {
			t.Errorf("%d s were charged of %d:\n%s", charged, between, listed(all[i-1:i+1]))
		}
	}
}
