package step

import (
	"slices"
	"strings"
	"testing"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// everything lists every combination that decide may be asked about.
func everything(visit func(d Desired, o Observed)) {
	states := []hypervisor.State{hypervisor.StateAbsent, hypervisor.StateStopped, hypervisor.StateRunning, hypervisor.StatePaused, hypervisor.StateCrashed}
	stops := []hypervisor.StopReason{hypervisor.StopNone, hypervisor.StopGuest, hypervisor.StopForced, hypervisor.StopProcessDied, hypervisor.StopStartFailed, hypervisor.StopUnknown}
	for _, phase := range append(vm.Phases(), 0, 99) {
		for _, state := range states {
			for _, stop := range stops {
				if state.Alive() && stop != hypervisor.StopNone {
					continue
				}
				for bits := range 2048 {
					bit := func(n int) bool { return bits>>n&1 == 1 }
					d := Desired{Phase: phase, On: bit(0), Proofs: bit(1), Seq: 2, Generation: 5, Released: bit(2)}
					o := Observed{State: state, Stop: stop, Seq: 2, Proven: bit(3)}
					if bit(4) {
						o.Seq = 1
					}
					if bit(5) {
						d.RebootSeq = 1
					}
					if bit(6) {
						o.Started = 5
					}
					if bit(7) {
						o.Generation = 6 // the store is older than the VM
					}
					if bit(8) {
						d.Resize, d.Restart = 5, bit(9)
						o.Sized = 4
					}
					if bit(10) {
						d.Rebuilt, o.Made = 2, 1
					}
					if bit(9) && bit(4) && bit(6) {
						o.Seq, o.Made = 3, 3
					}
					visit(d, o)
				}
			}
		}
	}
}

// What must never be decided, whatever the circumstances.
func TestDecideNever(t *testing.T) {
	t.Parallel()
	everything(func(d Desired, o Observed) {
		s := Decide(d, o)
		behind := o.State.Alive() && o.Generation > d.Generation && !d.Released
		over := !behind && (d.Released || d.Phase == vm.Terminating || d.Phase == vm.Terminated)
		bad := ""
		switch {
		case (s == Destroy) != over:
			bad = "destroy exactly what is terminated or released"
		case behind && s != Leave:
			bad = "nothing is done to a VM made for a later generation than is known"
		case s == ShutDown && d.Direction() != Down:
			bad = "shut down only what should be off"
		case s == ReportRunning && (!o.State.Alive() || o.Seq != d.Seq || d.Proofs && !o.Proven):
			bad = "say running only of what runs, proven, as the present instance"
		case (s == ReportStopped || s == ReportGuestStopped || s == ReportFailed) && o.State.Alive():
			bad = "say stopped or failed only of what does not run"
		case slices.Contains([]Step{BringUp, Revive}, s) && (o.State.Alive() || d.Direction() != Up):
			bad = "bring up only what is off and should be on"
		case s == Reboot && (d.Phase != vm.Rebooting || o.Rebooted >= d.RebootSeq):
			bad = "reboot once for each request"
		case s == Restart && (!o.State.Alive() || !d.RestartDue(o) || d.Direction() != Up):
			bad = "restart what runs and is to have another size"
		case s == Grow && (d.Phase != vm.Running && d.Phase != vm.Lost || !o.State.Alive() || !d.ResizeDue(o) || d.Restart):
			bad = "grow what runs and needs no restart"
		case s == ReportRunning && d.RestartDue(o):
			bad = "say running of the size before"
		case s == Rebuild && (o.Made == 0 || o.Made >= d.Rebuilt || d.Direction() != Up):
			bad = "rebuild only what is of an earlier life"
		case (s == BringUp || s == Revive || s == ReportRunning || s == Await) && o.Made != 0 && o.Made < d.Rebuilt:
			bad = "bring up nothing of an earlier life"
		case s == Replace && o.Seq == d.Seq:
			bad = "replace only another instance"
		case s == Leave && !behind && d.Direction() != Stay && o.Made <= d.Seq:
			bad = "leave alone only what is not ours, or newer than what is known"
		case slices.Contains([]Step{Replace, Rebuild, Restart, BringUp, ReportRunning}, s) && o.Made > d.Seq:
			bad = "touch nothing that is newer than what is known"
		}
		if bad != "" {
			t.Fatalf("%s: step %s for %+v, %+v", bad, s, d, o)
		}
	})
}

func TestDecide(t *testing.T) {
	t.Parallel()
	up := Observed{State: hypervisor.StateRunning, Seq: 2, Proven: true}
	mute := Observed{State: hypervisor.StateRunning, Seq: 2}
	off := Observed{State: hypervisor.StateStopped, Seq: 2, Stop: hypervisor.StopForced}
	died := Observed{State: hypervisor.StateCrashed, Seq: 2, Stop: hypervisor.StopProcessDied}
	left := Observed{State: hypervisor.StateStopped, Seq: 2, Stop: hypervisor.StopGuest, Started: 5}
	again := left
	again.Started = 4
	for _, c := range []struct {
		phase vm.Phase
		o     Observed
		want  Step
	}{
		{vm.Assigned, Observed{State: hypervisor.StateAbsent}, Announce},
		{vm.Provisioning, Observed{State: hypervisor.StateAbsent}, BringUp},
		{vm.Provisioning, off, BringUp},
		{vm.Provisioning, died, BringUp},
		{vm.Provisioning, mute, Await},
		{vm.Provisioning, up, ReportRunning},
		{vm.Provisioning, left, ReportGuestStopped},
		{vm.Provisioning, again, BringUp},
		{vm.Provisioning, Observed{State: hypervisor.StatePaused, Seq: 2}, Resume},
		{vm.Provisioning, Observed{State: hypervisor.StateRunning, Seq: 1}, Replace},
		{vm.Running, up, ReportRunning},
		{vm.Running, mute, Await},
		{vm.Running, died, Revive},
		{vm.Running, off, Revive},
		{vm.Running, left, ReportGuestStopped},
		{vm.Rebooting, up, Reboot},
		{vm.Rebooting, died, BringUp},
		{vm.Rebooting, Observed{State: hypervisor.StateRunning, Seq: 2, Rebooted: 1}, Await},
		{vm.Rebooting, Observed{State: hypervisor.StateRunning, Seq: 2, Rebooted: 1, Proven: true}, ReportRunning},
		{vm.Stopping, up, ShutDown},
		{vm.Stopping, off, ReportStopped},
		{vm.Stopped, off, ReportStopped},
		{vm.Stopped, up, ShutDown},
		{vm.Failed, off, ReportFailed},
		{vm.Failed, up, ShutDown},
		{vm.Lost, up, ReportRunning},
		{vm.Terminating, up, Destroy},
		{vm.Terminated, Observed{State: hypervisor.StateAbsent}, Destroy},
		{vm.Pending, up, Leave},
		{vm.Archived, off, Leave},
	} {
		d := Desired{Phase: c.phase, On: true, Proofs: true, Seq: 2, Generation: 5, RebootSeq: 1}
		if got := Decide(d, c.o); got != c.want {
			t.Errorf("%s with %+v: step %s, want %s", c.phase, c.o, got, c.want)
		}
	}
}

func TestDecideResizeAndRebuild(t *testing.T) {
	t.Parallel()
	up := Observed{State: hypervisor.StateRunning, Seq: 2, Proven: true, Sized: 4, Made: 2}
	mute := up
	mute.Proven = false
	resized := up
	resized.Sized = 5
	left := Observed{State: hypervisor.StateStopped, Seq: 2, Stop: hypervisor.StopGuest, Started: 4, Sized: 4, Made: 2}
	disk := Desired{On: true, Proofs: true, Seq: 2, Generation: 5, Resize: 5}
	larger := disk
	larger.Restart = true
	blank := Desired{On: true, Proofs: true, Seq: 2, Generation: 5, Rebuilt: 2}
	old := Observed{State: hypervisor.StateRunning, Seq: 1, Proven: true, Made: 1}
	rest := Observed{State: hypervisor.StateAbsent, Made: 1}
	for _, c := range []struct {
		d     Desired
		phase vm.Phase
		o     Observed
		want  Step
	}{
		{disk, vm.Running, up, Grow},
		{disk, vm.Running, mute, Await},
		{disk, vm.Running, resized, ReportRunning},
		{disk, vm.Running, left, ReportGuestStopped},
		{disk, vm.Rebooting, up, ReportRunning},
		{disk, vm.Stopped, left, ReportStopped},
		{larger, vm.Rebooting, up, Restart},
		{larger, vm.Rebooting, mute, Restart},
		{larger, vm.Rebooting, left, BringUp},
		{larger, vm.Rebooting, resized, ReportRunning},
		{larger, vm.Running, up, Restart},
		{larger, vm.Running, left, BringUp},
		{larger, vm.Provisioning, up, Restart},
		{larger, vm.Provisioning, left, BringUp},
		{larger, vm.Stopping, up, ShutDown},
		{blank, vm.Provisioning, old, Rebuild},
		{blank, vm.Provisioning, rest, Rebuild},
		{blank, vm.Provisioning, Observed{State: hypervisor.StateAbsent}, BringUp},
		{blank, vm.Provisioning, up, ReportRunning},
		{blank, vm.Running, old, Rebuild},
		{blank, vm.Assigned, rest, Announce},
		{blank, vm.Stopping, old, ShutDown},
		{blank, vm.Terminating, old, Destroy},
		{blank, vm.Running, Observed{State: hypervisor.StateRunning, Seq: 3, Made: 3}, Leave},
	} {
		c.d.Phase = c.phase
		if got := Decide(c.d, c.o); got != c.want {
			t.Errorf("%+v with %+v: step %s, want %s", c.d, c.o, got, c.want)
		}
	}
}

func TestStepsHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for s := Leave; s <= Destroy; s++ {
		if name := s.String(); strings.ContainsAny(name, "()0") || seen[name] {
			t.Errorf("step %d is %q", uint8(s), name)
		}
		seen[s.String()] = true
	}
	if got := Step(0).String(); got != "step(0)" {
		t.Errorf("no step is %q", got)
	}
}
