package agent

import (
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/reconcile"
	"github.com/hippius/compute/miner/report"
)

// Metrics of an agent, for its operator.
type Metrics struct {
	// Phases of the VMs here, as the chain last told, and how many are in each.
	Phases map[vm.Phase]int
	// Released VMs have something left here that is being removed.
	Released int
	// Steps of the reconciler.
	Steps reconcile.Stats
	// Reports on VMs.
	Reports report.Stats
	// Followed is when the chain was last heard; zero for not yet.
	Followed time.Time
}

// Metrics counts. It reads the state; the error says that this failed.
func (a *Agent) Metrics() (Metrics, error) {
	f := Metrics{
		Phases: map[vm.Phase]int{}, Steps: a.loop.Stats(),
		Reports: a.reporter.Stats(),
	}
	if at := a.followed.Load(); at != 0 {
		f.Followed = time.Unix(0, at)
	}
	records, err := a.State.All()
	if err != nil {
		return f, err
	}
	for _, r := range records {
		if r.Released {
			f.Released++
			continue
		}
		f.Phases[r.VM.Status.Phase]++
	}
	return f, nil
}
