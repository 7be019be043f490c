package reconcile_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hippius/compute/internal/reconcile"
	"github.com/hippius/compute/internal/testkit"
)

// Keys that wait aside keep no other from being worked on, and once they are done there are as many workers as before.
func TestWaitingKeysHoldNoWorker(t *testing.T) {
	const workers, waiting = 2, 20
	release := make(chan struct{})
	var waits, done, busy, most atomic.Int64
	count := func(n *atomic.Int64, by int64) {
		for now := n.Add(by); ; {
			top := most.Load()
			if now <= top || most.CompareAndSwap(top, now) {
				return
			}
		}
	}
	l := reconcile.New(func(ctx context.Context, key int) (time.Duration, error) {
		if key < waiting {
			return 0, reconcile.Aside(ctx, func() error {
				waits.Add(1)
				<-release
				return nil
			})
		}
		count(&busy, 1)
		time.Sleep(time.Millisecond)
		busy.Add(-1)
		done.Add(1)
		return 0, nil
	}, reconcile.Options[int]{Workers: workers})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	for key := range waiting {
		l.Poke(key)
	}
	testkit.Within(t, 10*time.Second, "all to wait", func() bool { return waits.Load() == waiting })
	for key := range 50 {
		l.Poke(waiting + key)
	}
	testkit.Within(t, 10*time.Second, "the others to be worked on", func() bool { return done.Load() == 50 })
	close(release)
	testkit.Within(t, 10*time.Second, "those that waited to be done", func() bool { return l.Stats().Steps == waiting+50 })

	// No worker is lost, and none is left over.
	most.Store(0)
	for key := range 200 {
		l.Poke(waiting + key)
	}
	testkit.Within(t, 10*time.Second, "more to be worked on", func() bool { return done.Load() == 250 })
	if n := most.Load(); n > workers {
		t.Errorf("%d were worked on at once, by %d workers", n, workers)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	never := errors.New("what f returns")
	if err := reconcile.Aside(context.Background(), func() error { return never }); !errors.Is(err, never) {
		t.Errorf("outside of a loop: %v", err)
	}
}

// A loop that ends while keys wait aside ends with them.
func TestLoopEndsWhileKeysWait(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var waits atomic.Int64
	l := reconcile.New(func(ctx context.Context, _ int) (time.Duration, error) {
		return 0, reconcile.Aside(ctx, func() error {
			waits.Add(1)
			<-ctx.Done()
			return reconcile.Aside(ctx, ctx.Err)
		})
	}, reconcile.Options[int]{Workers: 1})
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	for key := range 5 {
		l.Poke(key)
	}
	testkit.Within(t, 10*time.Second, "all to wait", func() bool { return waits.Load() == 5 })
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}
