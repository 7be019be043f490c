package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// start runs a loop inside a bubble until the test ends.
func start[K comparable](t *testing.T, step Step[K], opts Options[K]) *Loop[K] {
	t.Helper()
	l := New(step, opts)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestPokesMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		l := start(t, func(context.Context, string) (time.Duration, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return 0, nil
		}, Options[string]{})
		for range 100 {
			l.Poke("a")
		}
		time.Sleep(time.Millisecond)
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls at once for one key", n)
		}
		for range 100 {
			l.Poke("a") // while it runs: once more, for what it may have missed
		}
		time.Sleep(time.Hour)
		if n := calls.Load(); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.keys) != 0 {
			t.Errorf("still remembers %d keys", len(l.keys))
		}
	})
}

func TestSerialPerKeyBoundedInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		busy, most, calls := map[int]int{}, 0, 0
		l := start(t, func(_ context.Context, key int) (time.Duration, error) {
			mu.Lock()
			busy[key]++
			if busy[key] > 1 {
				t.Error("one key worked on twice at once")
			}
			all := 0
			for _, n := range busy {
				all += n
			}
			most = max(most, all)
			calls++
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			busy[key]--
			mu.Unlock()
			return 0, nil
		}, Options[int]{Workers: 3})
		for i := range 300 {
			l.Poke(i % 10)
			if i%50 == 0 {
				time.Sleep(300 * time.Millisecond)
			}
		}
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if most != 3 || calls < 10 {
			t.Errorf("%d at once in %d calls, want 3 at once", most, calls)
		}
	})
}

// times notes when something happened.
type times struct {
	mu sync.Mutex
	at []time.Time
}

// add returns how often it was called.
func (n *times) add() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at = append(n.at, time.Now())
	return len(n.at)
}

func (n *times) all() []time.Time {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.at)
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls times
		var broken atomic.Bool
		broken.Store(true)
		l := start(t, func(context.Context, string) (time.Duration, error) {
			n := calls.add()
			if !broken.Load() {
				return 0, nil
			}
			if n%3 == 0 {
				panic("a defect is an error like others")
			}
			return 0, errors.New("not yet")
		}, Options[string]{
			MinBackoff: time.Second, MaxBackoff: 10 * time.Second, Resync: 100 * time.Millisecond,
			List: func(context.Context) ([]string, error) { return []string{"a"}, nil },
		})
		time.Sleep(2 * time.Minute)
		at := calls.all()
		for i, seconds := range []int{1, 2, 4, 8, 10, 10, 10, 10} {
			limit := time.Duration(seconds) * time.Second
			if gap := at[i+1].Sub(at[i]); gap < limit/2 || gap > limit {
				t.Errorf("delay %d is %v, want %v to %v", i, gap, limit/2, limit)
			}
		}
		for at = calls.all(); time.Since(at[len(at)-1]) < pokedAfter; at = calls.all() {
			time.Sleep(pokedAfter) // a poke right after a failure is held for so long
		}
		l.Poke("a")
		if len(calls.all()) != len(at)+1 {
			t.Error("a poke waits for the backoff")
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
		n := len(calls.all())
		time.Sleep(time.Second)
		if got := len(calls.all()) - n; got < 9 || got > 11 {
			t.Errorf("%d calls in the second after it was mended, want one each resync", got)
		}
	})
}

func TestBackoffSpreads(t *testing.T) {
	l := New(func(context.Context, int) (time.Duration, error) { return 0, nil }, Options[int]{})
	var seen []time.Duration
	for range 20 {
		seen = append(seen, l.backoff(3))
	}
	slices.Sort(seen)
	if seen[0] == seen[len(seen)-1] {
		t.Errorf("every delay is %v", seen[0])
	}
	if d := l.backoff(1 << 20); d > time.Minute {
		t.Errorf("the cap is passed: %v", d)
	}
}

func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls times
		began := time.Now()
		l := start(t, func(context.Context, string) (time.Duration, error) {
			calls.add()
			return time.Minute, nil
		}, Options[string]{})
		l.Poke("a")
		time.Sleep(90 * time.Second)
		l.Poke("a") // moves what comes after
		time.Sleep(70 * time.Second)
		var at []time.Duration
		for _, when := range calls.all() {
			at = append(at, when.Sub(began))
		}
		want := []time.Duration{0, 60 * time.Second, 90 * time.Second, 150 * time.Second}
		if !slices.Equal(at, want) {
			t.Errorf("called at %v, want %v", at, want)
		}
	})
}

func TestResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		calls := map[string]int{}
		lists := 0
		start(t, func(_ context.Context, key string) (time.Duration, error) {
			mu.Lock()
			defer mu.Unlock()
			calls[key]++
			return 0, nil
		}, Options[string]{Resync: time.Minute, List: func(context.Context) ([]string, error) {
			if lists++; lists == 2 {
				return nil, errors.New("away")
			}
			return []string{"a", "b"}, nil
		}})
		time.Sleep(3*time.Minute + time.Second)
		mu.Lock()
		defer mu.Unlock()
		if lists != 4 || calls["a"] != 3 || calls["b"] != 3 {
			t.Errorf("%d lists, calls %v; want 4 and 3 each", lists, calls)
		}
	})
}

func TestEndWaitsForSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var finished atomic.Int32
		l := New(func(ctx context.Context, _ string) (time.Duration, error) {
			<-ctx.Done()
			time.Sleep(5 * time.Second)
			finished.Add(1)
			return time.Second, ctx.Err()
		}, Options[string]{Workers: 2})
		for i := range 10 {
			l.Poke(fmt.Sprint(i))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 6*time.Second || finished.Load() != 2 {
			t.Errorf("returned after %v with %d steps finished, want 6s and 2", took, finished.Load())
		}
		l.Poke("late")
		time.Sleep(time.Hour)
		if n := finished.Load(); n != 2 {
			t.Errorf("%d steps ran after the end", n-2)
		}
	})
}

// A step whose own attempts poke it, as a hypervisor's events do, must not spin.
func TestFailingStepThatPokesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		var l *Loop[string]
		ready := make(chan struct{})
		l = start(t, func(context.Context, string) (time.Duration, error) {
			<-ready
			if calls.Add(1) > 1000 {
				return 0, nil // it spins: enough seen
			}
			l.Poke("a")
			go func() {
				time.Sleep(10 * time.Millisecond)
				l.Poke("a")
			}()
			return 0, errors.New("no")
		}, Options[string]{})
		close(ready)
		l.Poke("a")
		time.Sleep(30*time.Second + 500*time.Millisecond) // between two attempts: each leaves a goroutine for 10 ms
		if n := calls.Load(); n < 5 || n > 35 {
			t.Errorf("%d attempts in 30 s; want about one a second", n)
		}
	})
}
