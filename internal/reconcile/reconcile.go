// Package reconcile runs a function over and over for each of many keys: to look at what should be, look at what is,
// and take the next step. An event only pokes a key sooner; what keeps things right is that every key comes round again.
package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// Step brings one key nearer to what it should be. It may run twice, at any time, after any crash, but never twice at
// once for one key. It returns when to be called again at the latest (zero: at the next resync). After an error it is
// called again with growing delays.
type Step[K comparable] func(ctx context.Context, key K) (again time.Duration, err error)

// Options of a Loop. Zero fields have the defaults in brackets.
type Options[K comparable] struct {
	// List returns the keys to look at on every resync. Nil: only what is poked.
	List func(ctx context.Context) ([]K, error)
	// Resync is the time between two listings (30 s).
	Resync time.Duration
	// Workers is how many keys are worked on at once (4), those that wait Aside not counted.
	Workers int
	// MinBackoff is the delay after a first error (200 ms); it doubles up to MaxBackoff (1 min). Each delay is spread
	// over its upper half by chance, so that keys that failed together do not come back together.
	MinBackoff, MaxBackoff time.Duration
	// Log hears of errors (nothing).
	Log *slog.Logger
}

// Loop works on keys. Use New.
type Loop[K comparable] struct {
	step Step[K]
	opts Options[K]

	mu    sync.Mutex
	work  *sync.Cond // the queue grew, or the loop ends
	queue []K        // keys to work on, in order, each once
	keys  map[K]*state
	ended bool
	stats Stats // Failing is counted when asked for

	workers sync.WaitGroup
	surplus int // workers there are beside opts.Workers, to end after their steps
}

// Stats of a loop since it was made.
type Stats struct {
	// Steps were taken, Errors of them failed.
	Steps, Errors uint64
	// Failing keys wait for another attempt now.
	Failing int
}

// Stats tells how the loop does.
func (l *Loop[K]) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	for _, k := range l.keys {
		if k.failures > 0 {
			s.Failing++
		}
	}
	return s
}

// state of a key that is queued, running, waiting for its time or failing. Others have none.
type state struct {
	queued   bool
	running  bool
	again    bool // poked while running
	failures int
	failed   time.Time   // when the last of failures was
	timer    *time.Timer // due later; nil if not
	due      time.Time   // when timer fires
}

// pokedAfter is how soon after a failure a poke may bring the next attempt.
const pokedAfter = time.Second

// New returns a loop that calls step.
func New[K comparable](step Step[K], opts Options[K]) *Loop[K] {
	orElse := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	orElse(&opts.Resync, 30*time.Second)
	orElse(&opts.MinBackoff, 200*time.Millisecond)
	orElse(&opts.MaxBackoff, time.Minute)
	if opts.Workers <= 0 {
		opts.Workers = 4
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	l := &Loop[K]{step: step, opts: opts, keys: make(map[K]*state)}
	l.work = sync.NewCond(&l.mu)
	return l
}

// Poke has key looked at soon, also if it is waiting after an error. Poking a key often costs nothing: it is looked at
// once more after the last poke. It never blocks, and may be called before Run.
func (l *Loop[K]) Poke(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enqueue(key)
}

// Run works until ctx ends, then waits for the steps in progress, whose context has ended too, and returns nil.
// It runs once.
func (l *Loop[K]) Run(ctx context.Context) error {
	for range l.opts.Workers {
		l.workers.Go(func() { l.worker(ctx) })
	}
	if l.opts.List != nil {
		l.resync(ctx)
	}
	tick := time.NewTicker(l.opts.Resync)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			if l.opts.List != nil {
				l.resync(ctx)
			}
		case <-ctx.Done():
		}
	}
	l.end()
	l.workers.Wait()
	return nil
}

// resync enqueues every listed key, except those that wait after an error: their time comes.
func (l *Loop[K]) resync(ctx context.Context) {
	keys, err := l.opts.List(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.opts.Log.Error("list keys", "error", err)
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		if s := l.keys[key]; s != nil && s.failures > 0 {
			continue
		}
		l.enqueue(key)
	}
}

func (l *Loop[K]) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for _, s := range l.keys {
		if s.timer != nil {
			s.timer.Stop()
		}
	}
	l.work.Broadcast()
}

// enqueue is called with mu held.
func (l *Loop[K]) enqueue(key K) {
	if l.ended {
		return
	}
	s := l.keys[key]
	if s == nil {
		s = &state{}
		l.keys[key] = s
	}
	if s.timer != nil && s.failures > 0 && l.held(s) {
		return
	}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	switch {
	case s.running:
		s.again = true
	case !s.queued:
		s.queued = true
		l.queue = append(l.queue, key)
		l.work.Signal()
	}
}

// held brings a failing key's next attempt forward, but not to before
// pokedAfter its failure: what fails often pokes itself, by the events of its
// own attempts.
func (l *Loop[K]) held(s *state) bool {
	soonest := s.failed.Add(pokedAfter)
	if time.Until(soonest) <= 0 {
		return false
	}
	if s.due.After(soonest) {
		s.due = soonest
		s.timer.Reset(time.Until(soonest))
	}
	return true
}

func (l *Loop[K]) worker(ctx context.Context) {
	for {
		key, ok := l.next()
		if !ok {
			return
		}
		again, err := l.try(ctx, key)
		l.finish(ctx, key, again, err)
	}
}

func (l *Loop[K]) next() (key K, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.ended && l.surplus == 0 {
		l.work.Wait()
	}
	switch {
	case l.ended:
		return key, false
	case l.surplus > 0:
		l.surplus--
		if len(l.queue) > 0 {
			l.work.Signal() // this worker may have been woken for it
		}
		return key, false
	}
	key = l.queue[0]
	l.queue = l.queue[1:]
	s := l.keys[key]
	s.queued, s.running = false, true
	return key, true
}

func (l *Loop[K]) try(ctx context.Context, key K) (again time.Duration, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return l.step(l.withAside(ctx), key)
}

func (l *Loop[K]) finish(ctx context.Context, key K, again time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.keys[key]
	s.running = false
	poked := s.again
	s.again = false
	l.stats.Steps++
	if err != nil {
		l.stats.Errors++
		s.failures++
		s.failed = time.Now()
		again = l.backoff(s.failures)
		if poked {
			poked, again = false, min(again, pokedAfter)
		}
		if ctx.Err() == nil {
			l.opts.Log.Warn("step failed", "key", key, "attempt", s.failures, "retry_in", again, "error", err)
		}
	} else {
		s.failures = 0
	}
	switch {
	case l.ended:
	case poked:
		l.enqueue(key)
	case again > 0:
		s.due = time.Now().Add(again)
		s.timer = time.AfterFunc(again, func() { l.due(key, s) })
	default:
		delete(l.keys, key)
	}
}

// due runs when a key's time has come, unless it was poked since.
func (l *Loop[K]) due(key K, s *state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys[key] == s && s.timer != nil {
		s.timer = nil
		l.enqueue(key)
	}
}

// backoff returns the delay after the nth error in a row.
func (l *Loop[K]) backoff(n int) time.Duration {
	d := l.opts.MinBackoff
	for range n - 1 {
		if d >= l.opts.MaxBackoff {
			break
		}
		d *= 2
	}
	d = min(d, l.opts.MaxBackoff)
	return d/2 + rand.N(d/2+1)
}
