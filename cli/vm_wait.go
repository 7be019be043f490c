package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/vm"
)

const (
	waitPoll    = 250 * time.Millisecond
	waitDefault = 20 * time.Minute
	// terminalWidth is assumed where it cannot be asked for.
	terminalWidth = 80
)

type waitFlags struct {
	wait    bool
	timeout time.Duration
}

func (w *waitFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&w.wait, "wait", "w", false, "wait until it is done and show each phase")
	cmd.Flags().DurationVar(&w.timeout, "timeout", waitDefault, "wait at most this `DURATION`")
}

// check refuses a wait that could not succeed, before anything is ordered.
func (w *waitFlags) check() error {
	if w.wait && w.timeout <= 0 {
		return usagef("--timeout %s: use a duration greater than zero, such as 5m", w.timeout)
	}
	return nil
}

// waitVM follows a VM until done, showing each phase with its seconds.
func (c *command) waitVM(ctx context.Context, s *session, v vm.VM, timeout time.Duration, done func(vm.VM) bool) (vm.VM, error) {
	get := func(ctx context.Context) (vm.VM, error) { return s.chain.VM(ctx, v.ID) }
	return c.follow(ctx, v.Spec.Name, get, timeout, done)
}

// follow asks again and again until done. It ends early when the VM fails.
// Nodes that do not answer are waited for. Interrupting it only ends the waiting.
func (c *command) follow(ctx context.Context, name string, get func(context.Context) (vm.VM, error), timeout time.Duration, done func(vm.VM) bool) (vm.VM, error) {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p := newProgress(c)
	defer p.end()
	var last *vm.VM
	var away error
	for {
		v, err := get(waiting)
		switch {
		case err == nil:
			last = &v
			p.show(v)
			if done(v) {
				return v, nil
			}
			if err := failure(v); err != nil {
				return vm.VM{}, err
			}
		case waiting.Err() != nil: // the wait is over
		case errors.Is(err, client.ErrUnavailable):
			away = err
		default:
			return vm.VM{}, err
		}
		select {
		case <-waiting.Done():
			return vm.VM{}, waitEnded(ctx, name, last, timeout, away)
		case <-time.After(waitPoll):
		}
	}
}

// waitEnded says how far the VM has come when the waiting ends before it is done.
func waitEnded(ctx context.Context, name string, last *vm.VM, timeout time.Duration, cause error) error {
	if last == nil {
		if ctx.Err() != nil {
			return ifInterrupted(ctx, ctx.Err(), fmt.Sprintf("%s continues in the background: 'hippius vm show %s'", name, name))
		}
		return fmt.Errorf("not done after %s: %w", timeout, cmp.Or(cause, context.DeadlineExceeded))
	}
	v := viewVM(*last)
	if ctx.Err() != nil {
		return ifInterrupted(ctx, ctx.Err(), fmt.Sprintf("%s is %s and continues in the background: 'hippius vm show %s'", v.Name, phaseText(v), v.Name))
	}
	return withHint(fmt.Errorf("not done after %s: %s is %s", timeout, v.Name, phaseText(v)),
		"it continues in the background: 'hippius vm show %s'", v.Name)
}

// failure is the error of a VM whose phase is Failed.
func failure(v vm.VM) error {
	if v.Status.Phase != vm.Failed {
		return nil
	}
	name := v.Spec.Name
	err := fmt.Errorf("%s failed: %s", name, clean(v.Status.Reason))
	if v.Status.Message != "" {
		err = fmt.Errorf("%w: %s", err, clean(v.Status.Message))
	}
	return withHint(err, "try again with 'hippius vm start %s', or terminate it with 'hippius vm rm %s'", name, name)
}

// progress tells people each phase or reason that is new, with the seconds
// since the start; on a terminal the seconds of the last line run on.
type progress struct {
	c     *command
	start time.Time
	last  string
	live  bool
	width int
}

func newProgress(c *command) *progress {
	p := &progress{c: c, start: c.env.Now(), live: c.env.Interactive, width: terminalWidth}
	if f, ok := c.env.Err.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			p.width = width
		}
	}
	return p
}

func (p *progress) show(v vm.VM) {
	if p.c.format != formatTable {
		return
	}
	text := progressText(viewVM(v))
	fresh := text != p.last
	if !fresh && !p.live {
		return
	}
	if fresh {
		p.end()
	}
	p.last = text
	line := fmt.Sprintf("%7.1fs  %s", p.c.env.Now().Sub(p.start).Seconds(), text)
	if p.live {
		// A line that wraps cannot be written over.
		_, _ = fmt.Fprintf(p.c.env.Err, "\r%s\x1b[K", cut(line, p.width-1))
		return
	}
	_, _ = fmt.Fprintln(p.c.env.Err, line)
}

// end leaves the line that is written over.
func (p *progress) end() {
	if p.live && p.last != "" {
		_, _ = fmt.Fprintln(p.c.env.Err)
		p.last = ""
	}
}

func progressText(v vmView) string {
	text := phaseText(v)
	if v.QueuePlace > 0 {
		text += fmt.Sprintf(", queue position %d", v.QueuePlace)
	}
	if v.Reason == vm.ReasonNoCapacity && v.MinersTotal > 0 {
		text += fmt.Sprintf(", %d of %d miners searched", v.MinersSearched, v.MinersTotal)
	}
	if v.Message != "" {
		text += ": " + v.Message
	}
	return clean(text)
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n || n < 1 {
		return s
	}
	return string(r[:n-1]) + "…"
}
