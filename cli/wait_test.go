package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/vm"
)

// life is a VM that goes through its phases as time passes.
type life []struct {
	at     time.Duration
	status vm.Status
	err    error
}

func (l life) get(start time.Time) func(context.Context) (vm.VM, error) {
	return func(ctx context.Context) (vm.VM, error) {
		if ctx.Err() != nil {
			return vm.VM{}, ctx.Err()
		}
		now := l[0]
		for _, step := range l {
			if time.Since(start) >= step.at {
				now = step
			}
		}
		return vm.VM{Spec: vm.Spec{Name: "web-1"}, Status: now.status}, now.err
	}
}

func phaseStatus(phase vm.Phase, reason string) vm.Status {
	return vm.Status{Phase: phase, Reason: reason}
}

var (
	pending      = vm.Status{Phase: vm.Pending, QueuePlace: 2}
	parked       = vm.Status{Phase: vm.Pending, Reason: vm.ReasonNoCapacity, QueuePlace: 2, MinersSearched: 512, MinersTotal: 10000}
	provisioning = phaseStatus(vm.Provisioning, vm.ReasonFetchingImage)
	running      = vm.Status{Phase: vm.Running, ReadyAt: 1}
	failed       = vm.Status{Phase: vm.Failed, Reason: "no_space", Message: "disk \x1b[31mfull"}
)

// waiting runs a wait on a clock that jumps, and gives what was said.
func waiting(t *testing.T, l life, timeout time.Duration, change func(d *desk)) (said string, err error) {
	t.Helper()
	d := newDesk(t)
	if change != nil {
		change(d)
	}
	_, err = d.follow(t.Context(), "web-1", l.get(time.Now()), timeout, isRunning)
	return d.err.String(), err
}

func TestWaitShowsEachPhaseOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := life{
			{0, pending, nil},
			{time.Second, parked, nil},
			{2 * time.Second, vm.Status{}, client.ErrUnavailable}, // a node that is away is waited for
			{3 * time.Second, provisioning, nil},
			{9500 * time.Millisecond, running, nil},
		}
		said, err := waiting(t, l, time.Minute, nil)
		want := "    0.0s  pending, queue position 2\n    1.0s  pending (no capacity), queue position 2, 512 of 10000 miners searched\n    3.0s  provisioning (fetching image)\n    9.5s  running\n"
		if err != nil || said != want {
			t.Errorf("%v, said\n%s, want\n%s", err, said, want)
		}
		if said, err := waiting(t, l, time.Minute, func(d *desk) { d.format = formatJSON }); err != nil || said != "" {
			t.Errorf("with -o json: %v, said %q", err, said)
		}
	})
}

// On a terminal the last line is written over, so that a person sees the seconds run.
func TestWaitOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said, err := waiting(t, life{{0, pending, nil}, {500 * time.Millisecond, running, nil}}, time.Minute, func(d *desk) { d.env.Interactive = true })
		want := "\r    0.0s  pending, queue position 2\x1b[K\r    0.2s  pending, queue position 2\x1b[K\n\r    0.5s  running\x1b[K\n"
		if err != nil || said != want {
			t.Errorf("%v, said %q, want %q", err, said, want)
		}
	})
}

func TestWaitEndsWithAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := waiting(t, life{{0, provisioning, nil}, {time.Second, failed, nil}}, time.Minute, nil)
		if err == nil || err.Error() != "web-1 failed: no_space: disk [31mfull" || !strings.Contains(hint(err), "hippius vm start web-1") {
			t.Errorf("%v, hint %q", err, hint(err))
		}
		_, err = waiting(t, life{{0, pending, nil}, {time.Second, vm.Status{}, client.ErrNotFound}}, time.Minute, nil)
		if !errors.Is(err, client.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWaitEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := waiting(t, life{{0, provisioning, nil}}, 5*time.Second, nil)
		if err == nil || err.Error() != "not done after 5s: web-1 is provisioning (fetching image)" || !strings.Contains(hint(err), "it continues in the background") {
			t.Errorf("%v, hint %q", err, hint(err))
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("it took %s", took)
		}
		_, err = waiting(t, life{{0, vm.Status{}, client.ErrUnavailable}}, time.Second, nil)
		if !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("nobody answers: %v", err)
		}
	})
}

// Ctrl-C ends the waiting, not the VM, and says so.
func TestWaitInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		d := newDesk(t)
		_, err := d.follow(ctx, "web-1", life{{0, provisioning, nil}}.get(time.Now()), time.Minute, isRunning)
		d.err.Reset()
		if code := exitCode(ctx, &d.err, err); code != 130 {
			t.Errorf("exit status %d", code)
		}
		if want := "interrupted; web-1 is provisioning (fetching image) and continues in the background: 'hippius vm show web-1'\n"; d.err.String() != want {
			t.Errorf("said %q, want %q", d.err.String(), want)
		}

		// Before it was looked at even once.
		_, err = d.follow(ctx, "web-1", func(ctx context.Context) (vm.VM, error) { return vm.VM{}, ctx.Err() }, time.Minute, isRunning)
		d.err.Reset()
		exitCode(ctx, &d.err, err)
		if want := "interrupted; web-1 continues in the background: 'hippius vm show web-1'\n"; d.err.String() != want {
			t.Errorf("said %q, want %q", d.err.String(), want)
		}
	})
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöü", 2, "ä…"}, {"abc", 0, "abc"}} {
		if got := cut(c.s, c.n); got != c.want {
			t.Errorf("%q to %d: %q, want %q", c.s, c.n, got, c.want)
		}
	}
}
