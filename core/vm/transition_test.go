package vm

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func everyState(t *testing.T) []State {
	t.Helper()
	var all []State
	for _, p := range Phases() {
		ss := states(p)
		if len(ss) == 0 {
			t.Fatalf("phase %s has no state", p)
		}
		all = append(all, ss...)
	}
	return all
}

// settle gives the states a VM may be in right after an arrow was followed, as
// far as holder, data and power may change with it.
func settle(s State, ev Event, to Phase) []State {
	s.Phase = to
	s.HasData = (s.HasData && ev != Rebuild) || to == Running
	switch ev { //nolint:exhaustive // the rest changes no power
	case Start, Rebuild:
		s.On = true
	case Stop, RunOut, StopSilent:
		s.On = false
	case ReportStopped:
		s.On = false
	}
	var out []State
	for _, held := range []bool{false, true} {
		s.Held = held
		if s.valid() {
			out = append(out, s)
		}
	}
	return out
}

func TestOnlyTheRightActorCauses(t *testing.T) {
	for _, s := range everyState(t) {
		for _, ev := range Events() {
			for _, by := range []Actor{0, Tenant, Miner, Chain, 9} {
				to, err := Next(s, ev, by)
				if by != ev.By() && !errors.Is(err, ErrActor) {
					t.Errorf("%s in %+v by %s: got %s, %v", ev, s, by, to, err)
				}
			}
		}
	}
}

func TestTenantCanAlwaysTerminate(t *testing.T) {
	for _, s := range everyState(t) {
		to, err := Next(s, Terminate, Tenant)
		switch {
		case s.Phase == Terminating || s.Phase == Terminated:
			if err == nil {
				t.Errorf("terminate in %s accepted twice", s.Phase)
			}
		case s.Held && to != Terminating, !s.Held && to != Terminated:
			t.Errorf("terminate in %+v: got %s, %v", s, to, err)
		}
	}
}

func TestNothingLeavesTerminated(t *testing.T) {
	for _, ev := range Events() {
		if to, err := Next(State{Phase: Terminated}, ev, ev.By()); err == nil {
			t.Errorf("%s leads from terminated to %s", ev, to)
		}
	}
}

// From every state every phase that a VM can come back to must be reachable:
// Terminated always, and Running unless it is ending or its data is gone.
func TestNoPhaseIsATrap(t *testing.T) {
	for _, start := range everyState(t) {
		reached := map[Phase]bool{}
		seen := map[State]bool{start: true}
		todo := []State{start}
		for len(todo) > 0 {
			s := todo[0]
			todo = todo[1:]
			reached[s.Phase] = true
			for _, ev := range Events() {
				to, err := Next(s, ev, ev.By())
				if err != nil {
					continue
				}
				for _, n := range settle(s, ev, to) {
					if !seen[n] {
						seen[n] = true
						todo = append(todo, n)
					}
				}
			}
		}
		if !reached[Terminated] {
			t.Errorf("%+v: terminated cannot be reached", start)
		}
		ending := start.Phase == Terminating || start.Phase == Terminated
		orphan := start.Phase == Failed && !start.Held && start.HasData
		if !ending && !orphan && !reached[Running] {
			t.Errorf("%+v: running cannot be reached", start)
		}
	}
}

// Only the tenant's own rebuild gives data up.
func TestDataIsNeverStartedBlank(t *testing.T) {
	for _, ev := range Events() {
		if ev == Rebuild {
			continue
		}
		for _, held := range []bool{false, true} {
			for _, p := range []Phase{Failed, Stopped} {
				s := State{Phase: p, Held: held, HasData: true, On: true}
				if to, err := Next(s, ev, ev.By()); err == nil && (to == Pending || to == Assigned) {
					t.Errorf("%s leads a VM with data that is %s to %s", ev, p, to)
				}
			}
		}
	}
}

// A stopped VM without data may be started elsewhere.
func TestStoppedVMWithoutDataMayLeaveItsHost(t *testing.T) {
	for _, data := range []bool{false, true} {
		to, err := Next(State{Phase: Stopped, Held: true, HasData: data}, Unassign, Chain)
		if !data && (err != nil || to != Pending) || data && err == nil {
			t.Errorf("with data %v: %s, %v", data, to, err)
		}
	}
}

func TestMinerCannotOverruleTheTenant(t *testing.T) {
	for _, s := range []State{
		{Phase: Stopping, Held: true, HasData: true},
		{Phase: Stopped, Held: true, HasData: true},
		{Phase: Terminating, Held: true, HasData: true, On: true},
		{Phase: Failed, Held: true, HasData: true},
		{Phase: Lost, Held: true, HasData: true},
	} {
		for _, ev := range Allowed(s, Miner) {
			to, err := Next(s, ev, Miner)
			if err != nil || to.On() || to == Provisioning {
				t.Errorf("%+v: a miner's %s leads to %s, %v", s, ev, to, err)
			}
		}
	}
}

func TestUsualLife(t *testing.T) {
	s := State{Phase: Pending, On: true}
	for _, step := range []struct {
		ev Event
		to Phase
	}{
		{Assign, Assigned},
		{Unassign, Pending},
		{Assign, Assigned},
		{ReportProvisioning, Provisioning},
		{ReportRunning, Running},
		{Reboot, Rebooting},
		{ReportRebooting, Rebooting},
		{ReportRunning, Running},
		{ReportRunning, Running},
		{Stop, Stopping},
		{ReportStopped, Stopped},
		{Start, Provisioning},
		{ReportRunning, Running},
		{ReportProvisioning, Provisioning},
		{ReportFailed, Failed},
		{ReportProvisioning, Provisioning},
		{ReportRunning, Running},
		{Resize, Running},
		{ResizeRestart, Rebooting},
		{ReportRebooting, Rebooting},
		{ReportRunning, Running},
		{ReportStopped, Stopped},
		{Resize, Stopped},
		{Rebuild, Provisioning},
		{ReportFailed, Failed},
		{Rebuild, Provisioning},
		{RunOut, Stopping},
		{ReportFailed, Failed},
		{ReportStopped, Stopped},
		{Terminate, Terminating},
		{ReportFailed, Terminating},
		{ReportTerminated, Terminated},
	} {
		to, err := Next(s, step.ev, step.ev.By())
		if err != nil || to != step.to {
			t.Fatalf("%s in %+v: got %s, %v; want %s", step.ev, s, to, err, step.to)
		}
		held := to != Pending && to != Terminated
		for _, n := range settle(s, step.ev, to) {
			if n.Held == held {
				s = n
			}
		}
	}
}

// A resize changes where a VM stands only if it is restarted for it, and a
// rebuild always leads to a start on the host that holds it, or to a new one.
func TestResizeAndRebuild(t *testing.T) {
	for _, s := range everyState(t) {
		for _, c := range []struct {
			ev   Event
			from []Phase
			to   func(s State) Phase
		}{
			{Resize, []Phase{Running, Stopped}, func(s State) Phase { return s.Phase }},
			{ResizeRestart, []Phase{Running}, func(State) Phase { return Rebooting }},
			{Rebuild, []Phase{Provisioning, Running, Rebooting, Stopped, Failed}, func(s State) Phase {
				if s.Held {
					return Provisioning
				}
				return Pending
			}},
		} {
			to, err := Next(s, c.ev, Tenant)
			switch fits := slices.Contains(c.from, s.Phase); {
			case fits && (err != nil || to != c.to(s)):
				t.Errorf("%s in %+v: got %s, %v; want %s", c.ev, s, to, err, c.to(s))
			case !fits && err == nil:
				t.Errorf("%s in %+v leads to %s", c.ev, s, to)
			}
		}
	}
}

func TestPhaseErrorNamesPhases(t *testing.T) {
	_, err := Next(State{Phase: Pending}, Reboot, Tenant)
	var pe *PhaseError
	if !errors.As(err, &pe) || pe.Phase != Pending {
		t.Fatalf("got %v", err)
	}
	if want := "the VM is pending; reboot needs it to be running"; err.Error() != want {
		t.Errorf("got %q, want %q", err.Error(), want)
	}
}

func TestNamesOfPhases(t *testing.T) {
	for i, p := range Phases() {
		if int(p) != i+1 {
			t.Errorf("%s has number %d", p, p)
		}
		if back, err := ParsePhase(p.String()); err != nil || back != p {
			t.Errorf("%s: got %s, %v", p, back, err)
		}
	}
	if _, err := ParsePhase("phase(0)"); err == nil {
		t.Error("phase(0) parsed")
	}
	for _, ev := range Events() {
		if ev.By() == 0 || strings.HasPrefix(ev.String(), "event(") || len(Fitting(ev)) == 0 {
			t.Errorf("event %d: by %s, fits %v", ev, ev.By(), Fitting(ev))
		}
	}
	for _, p := range Phases() {
		ev, ok := ReportOf(p)
		if ok != slices.Contains([]Phase{Provisioning, Running, Stopping, Stopped, Rebooting, Failed, Terminated}, p) {
			t.Errorf("report of %s: %s, %v", p, ev, ok)
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add(uint8(1), uint8(5), uint8(3), true, false, true)
	f.Add(uint8(200), uint8(99), uint8(0), true, true, true)
	f.Add(uint8(200), uint8(4), uint8(1), true, true, true) // no phase is not to be left
	f.Fuzz(func(t *testing.T, p, ev, by uint8, held, data, on bool) {
		s := State{Phase: Phase(p), Held: held, HasData: data, On: on}
		to, err := Next(s, Event(ev), Actor(by))
		if err != nil {
			if to != s.Phase || err.Error() == "" {
				t.Fatalf("%+v: refused, yet %s", s, to)
			}
			return
		}
		if !slices.Contains(Phases(), to) || !slices.Contains(Phases(), s.Phase) {
			t.Fatalf("%+v: led to %s", s, to)
		}
	})
}
