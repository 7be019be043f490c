package keylock

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestExcludesSameKeyOnly(t *testing.T) {
	t.Parallel()
	var m Map[string]
	unlock, err := m.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := m.Lock(t.Context(), "b")
	if err != nil {
		t.Fatalf("another key waits: %v", err)
	}
	other()

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := m.Lock(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("held key: got %v, want the context's error", err)
	}
	unlock()
	unlock() // harmless
	again, err := m.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	again()
	if len(m.held) != 0 {
		t.Errorf("%d locks remain after all were released", len(m.held))
	}
}

func TestCountsUnderContention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			m    Map[int]
			wg   sync.WaitGroup
			busy bool
		)
		start := time.Now()
		for range 20 {
			wg.Go(func() {
				unlock, err := m.Lock(t.Context(), 7)
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				if busy {
					t.Error("two holders at once")
				}
				busy = true
				time.Sleep(time.Second)
				busy = false
			})
		}
		wg.Wait()
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("20 one-second holders took %v", took)
		}
	})
}
