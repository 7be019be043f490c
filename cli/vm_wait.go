package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	"github.com/hippius/compute/chain/client"
)

const (
	waitPoll    = 250 * time.Millisecond
	waitDefault = 20 * time.Minute
)

type waitFlags struct {
	wait    bool
	timeout time.Duration
}

func (w *waitFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&w.wait, "wait", "w", false, "wait until it is done, showing each phase")
	cmd.Flags().DurationVar(&w.timeout, "timeout", waitDefault, "wait at most this `LONG`")
}

// waitVM follows a machine until done, printing each change of phase with its
// seconds. It ends early when the machine fails. Interrupting it only ends the
// waiting.
func (c *command) waitVM(ctx context.Context, s *session, id string, timeout time.Duration, done func(*computev1.VM) bool) (*computev1.VM, error) {
	if timeout <= 0 {
		return nil, usagef("--timeout %s: give a time above zero", timeout)
	}
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p := progress{c: c, start: c.env.Now()}
	for {
		vm, err := s.chain.VM(waiting, id)
		if err != nil && !errors.Is(err, client.ErrUnavailable) && waiting.Err() == nil {
			return nil, err
		}
		if err == nil {
			p.show(vm)
			if done(vm) {
				return vm, nil
			}
			if err := hopeless(vm); err != nil {
				return nil, err
			}
		}
		select {
		case <-waiting.Done():
			if ctx.Err() != nil {
				_, _ = fmt.Fprintf(c.env.Err, "stopped waiting; the machine goes on: hippius vm show %s\n", id[:12])
				return nil, ctx.Err()
			}
			return nil, withHint(fmt.Errorf("not done after %s; the machine is still %s", timeout, phaseText(viewVM(vm))),
				"it goes on by itself: 'hippius vm show %s'", id[:12])
		case <-time.After(waitPoll):
		}
	}
}

// hopeless says that a machine will not get where it is wanted by itself.
func hopeless(vm *computev1.VM) error {
	if vm.GetStatus().GetPhase() != computev1.Phase_PHASE_FAILED {
		return nil
	}
	v := viewVM(vm)
	err := fmt.Errorf("%s failed: %s", v.Name, clean(v.Reason))
	if v.Message != "" {
		err = fmt.Errorf("%w: %s", err, clean(v.Message))
	}
	return withHint(err, "remove it with 'hippius vm rm %s' and create it again", v.Name)
}

// progress prints a line for each phase or reason that is new.
type progress struct {
	c     *command
	start time.Time
	last  string
}

func (p *progress) show(vm *computev1.VM) {
	if p.c.format != formatTable {
		return
	}
	v := viewVM(vm)
	text := phaseText(v)
	if v.QueuePlace > 0 {
		text += fmt.Sprintf(", place %d in line", v.QueuePlace)
	}
	if v.Message != "" {
		text += ": " + v.Message
	}
	if text == p.last {
		return
	}
	p.last = text
	_, _ = fmt.Fprintf(p.c.env.Err, "%7.1fs  %s\n", p.c.env.Now().Sub(p.start).Seconds(), clean(text))
}
