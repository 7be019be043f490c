package vm

import (
	"errors"
	"fmt"
	"strings"
)

// ErrActor says that an event was caused by someone who may not cause it.
var ErrActor = errors.New("this is not theirs to cause")

// State is what a VM's next phase depends on.
type State struct {
	Phase Phase
	// Held: a miner holds it, or must still let go of it.
	Held bool
	// HasData: it was proven once, so its disk must never be started blank.
	HasData bool
	// On: the tenant wants it on.
	On bool
}

// PhaseError says that an event does not fit a VM's phase.
type PhaseError struct {
	Event Event
	Phase Phase
}

// Error names the phase and the phases in which the event would fit.
func (e *PhaseError) Error() string {
	fit := Fitting(e.Event)
	names := make([]string, len(fit))
	for i, p := range fit {
		names[i] = p.String()
	}
	return fmt.Sprintf("the VM is %s; %s needs it to be %s", e.Phase, e.Event, strings.Join(names, " or "))
}

// Next is the one transition function of a VM's life: the phase that follows
// when by causes ev. It returns ErrActor if ev is not by's to cause, and a
// *PhaseError if it does not fit. An unchanged phase without error means that
// the report confirms what is known.
//
// T the tenant, M its miner, C the chain:
//
//	           Assign C             ReportProvisioning M               ReportRunning M
//	Pending ─────────────> Assigned ──────────────> Provisioning ─────────────────────> Running ─┐
//	   ^  ^───Unassign C──────┘ │                    ^   │  ^ ^────ReportProvisioning M────┘ │ │ Reboot T
//	   │                        │ ReportFailed M     │   │  │   (died, started again)        │ v
//	   │ Retry C, Start T       v                    │   │  │                                │ Rebooting ─> Running (ReportRunning M)
//	   └──────────────────── Failed <── ReportFailed M, from any held phase                   │
//	     (only without data)    │                    │   │  │                                │
//	                            └─ ReportProvisioning M, Start T: same host, with data        │
//	                                                     │  │                                │
//	       Stop T, RunOut C: Provisioning, Running, Rebooting ─> Stopping                     │
//	       ReportStopped M: Stopping ─> Stopped, and from Provisioning, Running, Rebooting, ──┘ (the guest shut itself down)
//	       Start T: Stopped ────────────────────────────────┘ (same host)
//	       Unassign C: Stopped ─> Pending (without data, started again after a start that hung: another host)
//
//	Stop T, RunOut C: held Failed ─> Stopped (nothing runs; it may have no room to be stopped in)
//	RunOut C: Pending, Assigned ─> Failed (Start T places it again)
//	Lose C: any held phase but Terminating ─> Lost; Lost ─> what its miner reports when it is back (M), or Assigned (C, next miner)
//	Resize T: Running and Stopped stay what they are; ResizeRestart T: Running ─> Rebooting
//	Rebuild T: Provisioning, Running, Rebooting, Stopped, held Failed ─> Provisioning, same host, what was on the disk given up;
//	           Failed that nobody holds ─> Pending
//	TimeOut C: Provisioning, Running, Rebooting, Stopping, Stopped ─> Failed (no proof of its guest in time, or its host is gone)
//	RebootSilent C: Running, Rebooting ─> Rebooting; StopSilent C: Running, Rebooting ─> Stopping (its guest gives no proof)
//	Archive C: Stopped ─> Archived; Start T: Archived ─> Pending (thaw)
//	Terminate T, EndUnpaid C: held ─> Terminating ─> Terminated (ReportTerminated M, Release C); held by nobody ─> Terminated
func Next(s State, ev Event, by Actor) (Phase, error) {
	if ev.By() == 0 || ev.By() != by {
		return s.Phase, fmt.Errorf("%s by the %s: %w", ev, by, ErrActor)
	}
	if to := next(s, ev); to != 0 {
		return to, nil
	}
	return s.Phase, &PhaseError{Event: ev, Phase: s.Phase}
}

// next returns 0 where there is no arrow.
func next(s State, ev Event) Phase {
	// A VM may be ended in any phase but the two where it has already.
	if (ev == Terminate || ev == EndUnpaid) && s.Phase >= Pending && s.Phase < Terminating {
		return choose(s.Held, Terminating, Terminated)
	}
	switch s.Phase {
	case Pending:
		return fromPending(ev)
	case Assigned:
		return fromAssigned(ev)
	case Provisioning:
		return fromProvisioning(ev)
	case Running:
		return fromRunning(ev)
	case Stopping:
		return fromStopping(ev)
	case Stopped:
		return fromStopped(s, ev)
	case Rebooting:
		return fromRebooting(ev)
	case Failed:
		return fromFailed(s, ev)
	case Lost:
		return fromLost(s, ev)
	case Archived:
		return choose(ev == Start, Pending, 0)
	case Terminating:
		return fromTerminating(ev)
	case Terminated:
		return 0
	default:
		return 0
	}
}

func choose(cond bool, yes, no Phase) Phase {
	if cond {
		return yes
	}
	return no
}

func fromPending(ev Event) Phase {
	switch ev { //nolint:exhaustive // the rest has no arrow from here
	case Assign:
		return Assigned
	case GiveUp, RunOut:
		return Failed
	default:
		return 0
	}
}

func fromAssigned(ev Event) Phase {
	switch ev { //nolint:exhaustive // the rest has no arrow from here
	case ReportProvisioning:
		return Provisioning
	case Unassign:
		return Pending
	case ReportFailed, RunOut:
		return Failed
	case Lose:
		return Lost
	default:
		return 0
	}
}

func fromProvisioning(ev Event) Phase {
	switch ev { //nolint:exhaustive // the rest has no arrow from here
	case ReportProvisioning, Rebuild:
		return Provisioning
	case ReportRunning:
		return Running
	case ReportStopped:
		return Stopped
	case ReportFailed, TimeOut:
		return Failed
	case Stop, RunOut:
		return Stopping
	case Lose:
		return Lost
	default:
		return 0
	}
}

func fromRunning(ev Event) Phase {
	switch ev { //nolint:exhaustive // the rest has no arrow from here
	case ReportRunning:
		return Running
	case ReportProvisioning:
		return Provisioning
	case ReportStopped:
		return Stopped
	case ReportFailed, TimeOut:
		return Failed
	case Stop, RunOut, StopSilent:
		return Stopping
	case Reboot, ResizeRestart, RebootSilent:
		return Rebooting
	case Resize:
		return Running
	case Rebuild:
		return Provisioning
	case Lose:
		return Lost
	default:
		return 0
	}
}

func fromRebooting(ev Event) Phase {
	switch ev { //nolint:exhaustive // the rest has no arrow from here
	case ReportRebooting, RebootSilent:
		return Rebooting
	case ReportRunning:
		return Running
	case ReportProvisioning, Rebuild:
		return Provisioning
	case ReportStopped:
		return Stopped
	case ReportFailed, TimeOut:
		return Failed
	case Stop, RunOut, StopSilent:
		return Stopping
	case Lose:
		return Lost
	default:
		return 0
	}
}

func fromStopping(ev Event) Phase {
	switch ev { //nolint:exhaustive // the rest has no arrow from here
	case ReportStopping:
		return Stopping
	case ReportStopped:
		return Stopped
	case ReportFailed, TimeOut:
		return Failed
	case Lose:
		return Lost
	default:
		return 0
	}
}

func fromStopped(s State, ev Event) Phase {
	switch ev { //nolint:exhaustive // the rest has no arrow from here
	case Unassign:
		return choose(s.HasData, 0, Pending)
	case ReportStopped, Resize:
		return Stopped
	case ReportFailed, TimeOut:
		return Failed
	case Start, Rebuild:
		return Provisioning
	case Archive:
		return Archived
	case Lose:
		return Lost
	default:
		return 0
	}
}

func fromFailed(s State, ev Event) Phase {
	if !s.Held {
		// Without a holder it may only be placed anew, and never blank over data
		// that was, unless the tenant gives that up.
		return choose(ev == Rebuild || (ev == Retry || ev == Start) && !s.HasData, Pending, 0)
	}
	switch ev { //nolint:exhaustive // the rest has no arrow from here
	case Start, Rebuild:
		return Provisioning
	case Stop, RunOut:
		return Stopped
	case ReportFailed, TimeOut:
		return Failed
	case Lose:
		return Lost
	default:
		return reported(s, ev)
	}
}

func fromLost(s State, ev Event) Phase {
	switch ev { //nolint:exhaustive // the rest has no arrow from here
	case Assign:
		return Assigned
	case ReportFailed:
		return Failed
	default:
		return reported(s, ev)
	}
}

// reported is where a report leads a VM whose true phase only its miner knows.
func reported(s State, ev Event) Phase {
	switch ev { //nolint:exhaustive // the rest has no arrow from here
	case ReportProvisioning:
		return choose(s.On, Provisioning, 0)
	case ReportRunning:
		return choose(s.On, Running, 0)
	case ReportStopping:
		return choose(s.On, 0, Stopping)
	case ReportStopped:
		return Stopped
	default:
		return 0
	}
}

func fromTerminating(ev Event) Phase {
	switch ev { //nolint:exhaustive // the rest has no arrow from here
	case ReportTerminated, Release:
		return Terminated
	case ReportFailed:
		return Terminating // it says why it cannot yet
	default:
		return 0
	}
}

// states lists the states a phase may be in.
func states(p Phase) []State {
	var all []State
	for i := range 8 {
		s := State{Phase: p, Held: i&1 != 0, HasData: i&2 != 0, On: i&4 != 0}
		if s.valid() {
			all = append(all, s)
		}
	}
	return all
}

// valid reports whether holder and phase agree.
func (s State) valid() bool {
	switch s.Phase {
	case Pending, Archived, Terminated:
		return !s.Held
	case Failed:
		return true
	case Assigned, Provisioning, Running, Stopping, Stopped, Rebooting, Lost, Terminating:
		return s.Held
	default:
		return false
	}
}

// Fitting lists the phases in which an event may happen.
func Fitting(ev Event) []Phase {
	var fit []Phase
	for _, p := range Phases() {
		for _, s := range states(p) {
			if next(s, ev) != 0 {
				fit = append(fit, p)
				break
			}
		}
	}
	return fit
}

// Allowed lists what an actor may cause in a state, in the events' order.
func Allowed(s State, by Actor) []Event {
	var evs []Event
	for _, ev := range Events() {
		if ev.By() == by && next(s, ev) != 0 {
			evs = append(evs, ev)
		}
	}
	return evs
}
