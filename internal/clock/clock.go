// Package clock lets code that waits be told the time, so that a test can move it. Code under testing/synctest needs no
// fake; Fake is for tests that talk to other processes or real sockets, which no bubble can hold.
package clock

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx ends and returns its error. A d of zero or less returns at once.
	Sleep(ctx context.Context, d time.Duration) error
}

// Real is the host's clock.
type Real struct{}

// Now returns the current time.
func (Real) Now() time.Time { return time.Now() }

// Sleep waits for d of real time, or until ctx ends.
func (Real) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Fake is a clock that moves only when told. Use NewFake.
type Fake struct {
	mu       sync.Mutex
	now      time.Time
	sleepers []*sleeper
	changed  chan struct{} // closed when a sleeper comes or goes
}

type sleeper struct {
	until time.Time
	woken chan struct{}
}

// NewFake returns a clock that stands at now.
func NewFake(now time.Time) *Fake {
	return &Fake{now: now, changed: make(chan struct{})}
}

// Now returns the time it was last moved to.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Sleep waits until the clock was moved by d, or until ctx ends.
func (f *Fake) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	f.mu.Lock()
	s := &sleeper{until: f.now.Add(d), woken: make(chan struct{})}
	f.sleepers = append(f.sleepers, s)
	f.tell()
	f.mu.Unlock()
	select {
	case <-s.woken:
		return nil
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sleepers = slices.DeleteFunc(f.sleepers, func(o *sleeper) bool { return o == s })
		f.tell()
		return ctx.Err()
	}
}

// Advance moves the clock forward by d and wakes whoever slept until then, the earliest first.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	slices.SortStableFunc(f.sleepers, func(a, b *sleeper) int { return a.until.Compare(b.until) })
	for len(f.sleepers) > 0 && !f.sleepers[0].until.After(f.now) {
		close(f.sleepers[0].woken)
		f.sleepers = f.sleepers[1:]
	}
	f.tell()
}

// AwaitSleepers blocks until at least n callers sleep, or ctx ends.
func (f *Fake) AwaitSleepers(ctx context.Context, n int) error {
	for {
		f.mu.Lock()
		enough, changed := len(f.sleepers) >= n, f.changed
		f.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *Fake) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}
