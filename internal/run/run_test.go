package run

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// recorder keeps what happened, in order.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (d *recorder) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *recorder) service(name string) Service {
	return Service{
		Name:  name,
		Start: func(context.Context) error { d.add("start " + name); return nil },
		Run:   func(ctx context.Context) error { <-ctx.Done(); d.add("end " + name); return ctx.Err() },
		Stop:  func(context.Context) error { d.add("stop " + name); return nil },
	}
}

func (d *recorder) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(d.lines, want) {
		t.Errorf("happened:\n %s\nwant:\n %s", strings.Join(d.lines, "\n "), strings.Join(want, "\n "))
	}
}

var errService = errors.New("service failed")

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d recorder
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		if err := New(quiet(), d.service("a"), Service{Name: "empty"}, d.service("b")).Run(ctx); err != nil {
			t.Error(err)
		}
		d.expect(t, "start a", "start b", "stop b", "end b", "stop a", "end a")
	})
}

func TestServiceFails(t *testing.T) {
	for name, tc := range map[string]struct{ got, want error }{
		"with an error":    {errService, errService},
		"by just stopping": {nil, ErrEnded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d recorder
				b := d.service("b")
				b.Run = func(context.Context) error { time.Sleep(time.Second); return tc.got }
				err := New(quiet(), d.service("a"), b, d.service("c")).Run(t.Context())
				if !errors.Is(err, tc.want) || !strings.HasPrefix(err.Error(), "b: ") {
					t.Errorf("got %v", err)
				}
				d.expect(t, "start a", "start b", "start c", "stop c", "end c", "stop b", "stop a", "end a")
			})
		})
	}
}

func TestStartFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d recorder
		b := d.service("b")
		b.Start = func(context.Context) error { return errService }
		err := New(quiet(), d.service("a"), b, d.service("c")).Run(t.Context())
		if !errors.Is(err, errService) || !strings.Contains(err.Error(), "start b") {
			t.Errorf("got %v", err)
		}
		d.expect(t, "start a", "stop a", "end a")
	})
}

func TestToldToEndWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d recorder
		ctx, cancel := context.WithCancel(t.Context())
		b := d.service("b")
		b.Start = func(ctx context.Context) error { cancel(); return ctx.Err() }
		if err := New(quiet(), d.service("a"), b, d.service("c")).Run(ctx); err != nil {
			t.Error(err)
		}
		d.expect(t, "start a", "stop a", "end a")
	})
}

func TestSlowServiceIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d recorder
		var logged bytes.Buffer
		slow, stuck := d.service("slow"), d.service("stuck")
		slow.Run = func(ctx context.Context) error { <-ctx.Done(); time.Sleep(5 * time.Second); return errService }
		never := make(chan struct{})
		stuck.Run = func(context.Context) error { <-never; return nil }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		err := New(slog.New(slog.NewTextHandler(&logged, nil)), d.service("a"), slow, stuck).Run(ctx)
		if err == nil || !strings.Contains(err.Error(), "stop stuck: still busy") || !errors.Is(err, errService) {
			t.Errorf("got %v, want the stuck service and the failed one named", err)
		}
		if took := time.Since(began); took != time.Second+stopTimeout+5*time.Second {
			t.Errorf("took %v", took)
		}
		for _, want := range []string{"service=slow", "service=stuck"} {
			if !strings.Contains(logged.String(), want) {
				t.Errorf("%q is not in the log:\n%s", want, &logged)
			}
		}
		d.expect(t, "start a", "start slow", "start stuck", "stop stuck", "stop slow", "stop a", "end a")
		close(never)
	})
}

func TestSignals(t *testing.T) {
	ctx, stop := Signals(t.Context())
	defer stop()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Second):
		t.Error("SIGTERM did not end the context")
	}
}
