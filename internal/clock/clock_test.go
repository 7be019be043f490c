package clock

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBothClocks(t *testing.T) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, build := range map[string]func() (Clock, func(time.Duration)){
		"real": func() (Clock, func(time.Duration)) { return Real{}, time.Sleep },
		"fake": func() (Clock, func(time.Duration)) { f := NewFake(start); return f, f.Advance },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, pass := build()
				began := c.Now()
				var done atomic.Bool
				go func() {
					if err := c.Sleep(t.Context(), time.Minute); err != nil {
						t.Error(err)
					}
					done.Store(true)
				}()
				synctest.Wait()
				pass(59 * time.Second)
				synctest.Wait()
				if done.Load() {
					t.Error("woke early")
				}
				pass(time.Second)
				synctest.Wait()
				if !done.Load() {
					t.Error("still asleep")
				}
				if got := c.Now().Sub(began); got != time.Minute {
					t.Errorf("%v passed, want 1m", got)
				}

				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- c.Sleep(ctx, time.Hour) }()
				synctest.Wait()
				cancel()
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled sleep returned %v", err)
				}
				if err := c.Sleep(ctx, 0); !errors.Is(err, context.Canceled) {
					t.Errorf("no sleep under an ended context returned %v", err)
				}
			})
		})
	}
}

func TestAwaitSleepers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFake(time.Time{})
		for range 2 {
			go func() {
				time.Sleep(time.Second)
				_ = f.Sleep(t.Context(), time.Hour) // woken below
			}()
		}
		if err := f.AwaitSleepers(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.AwaitSleepers(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for a third: %v", err)
		}
		f.Advance(time.Hour)
	})
}
