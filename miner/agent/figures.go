package agent

import (
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/reconcile"
)

// Figures of an agent, for its operator.
type Figures struct {
	// Phases of the VMs here, as the chain last told, and how many are in each.
	Phases map[vm.Phase]int
	// Released VMs have something left here that is being removed.
	Released int
	// Steps of the reconciler.
	Steps reconcile.Stats
	// Taken and refused are reports on VMs that reached the chain; Failed are messages that did not.
	Taken, Refused, Failed uint64
	// Followed is when the chain was last heard, Reported when it last took a message. Zero for not yet.
	Followed, Reported time.Time
}

// Figures counts. It reads the state; the error says that this failed.
func (a *Agent) Figures() (Figures, error) {
	f := Figures{
		Phases: map[vm.Phase]int{}, Steps: a.loop.Stats(),
		Taken: a.reporter.taken.Load(), Refused: a.reporter.refused.Load(), Failed: a.reporter.failed.Load(),
		Followed: moment(a.followed.Load()), Reported: moment(a.reporter.heard.Load()),
	}
	records, err := a.State.all()
	if err != nil {
		return f, err
	}
	for _, r := range records {
		if r.released {
			f.Released++
			continue
		}
		f.Phases[r.vm.Status.Phase]++
	}
	return f, nil
}

// moment of unix nanoseconds; the zero time for 0.
func moment(unixNano int64) time.Time {
	if unixNano == 0 {
		return time.Time{}
	}
	return time.Unix(0, unixNano)
}
