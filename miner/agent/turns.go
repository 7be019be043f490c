package agent

import (
	"context"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/follow"
)

// Turns takes an agent's doings one at a time, for whoever decides when each
// happens, as a simulation does that must happen twice alike. Run does the same
// in loops of its own; an agent is for one of the two.
//
// Any order of turns is right, but for one VM Reconcile must not run twice at
// once, nor must any other turn.
type Turns struct {
	a *Agent
	f *follow.Follower[int64, Changes]
}

// Turns of an agent that does not Run.
func (a *Agent) Turns() (*Turns, error) {
	f, err := a.follower()
	if err != nil {
		return nil, err
	}
	return &Turns{a: a, f: f}, nil
}

// Follow asks the chain what changed.
func (t *Turns) Follow(ctx context.Context) error { return t.f.Step(ctx) }

// VMs there are to reconcile.
func (t *Turns) VMs(ctx context.Context) ([]vm.ID, error) { return t.a.list(ctx) }

// Reconcile takes the next step for one VM, and says when the next is due at
// the latest; zero for whenever.
func (t *Turns) Reconcile(ctx context.Context, id vm.ID) (time.Duration, error) {
	return t.a.reconcile(ctx, id)
}

// Report sends what is new, or everything, and waits for the chain's answer.
func (t *Turns) Report(ctx context.Context, all bool) error {
	_, err := t.a.reporter.Send(ctx, all)
	return err
}

// Tidy looks for what is left of VMs that are gone.
func (t *Turns) Tidy(ctx context.Context) { t.a.tidy(ctx) }

// End lets go of the guests; VMs run on.
func (t *Turns) End() { t.a.closeChannels() }
