package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/image"
)

// everything lists every combination that decide may be asked about.
func everything(visit func(w want, a is)) {
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
					w := want{phase: phase, on: bit(0), proofs: bit(1), seq: 2, generation: 5, released: bit(2)}
					a := is{state: state, stop: stop, seq: 2, proven: bit(3)}
					if bit(4) {
						a.seq = 1
					}
					if bit(5) {
						w.rebootSeq = 1
					}
					if bit(6) {
						a.started = 5
					}
					if bit(7) {
						a.generation = 6 // the store is older than the machine
					}
					if bit(8) {
						w.resize, w.restart = 5, bit(9)
						a.sized = 4
					}
					if bit(10) {
						w.rebuilt, a.made = 2, 1
					}
					if bit(9) && bit(4) && bit(6) {
						a.seq, a.made = 3, 3
					}
					visit(w, a)
				}
			}
		}
	}
}

// What must never be decided, whatever the circumstances.
func TestDecideNever(t *testing.T) {
	t.Parallel()
	everything(func(w want, a is) {
		s := decide(w, a)
		behind := a.state.Alive() && a.generation > w.generation && !w.released
		over := !behind && (w.released || w.phase == vm.Terminating || w.phase == vm.Terminated)
		bad := ""
		switch {
		case (s == destroy) != over:
			bad = "destroy exactly what is terminated or released"
		case behind && s != leave:
			bad = "nothing is done to a machine made for a later wish than is known"
		case s == shutDown && w.aim() != aimDown:
			bad = "shut down only what should be off"
		case s == sayRunning && (!a.state.Alive() || a.seq != w.seq || w.proofs && !a.proven):
			bad = "say running only of what runs, proven, as the present instance"
		case (s == sayStopped || s == sayGuestStopped) && a.state.Alive():
			bad = "say stopped only of what does not run"
		case slices.Contains([]step{bringUp, revive}, s) && (a.state.Alive() || w.aim() != aimUp):
			bad = "bring up only what is off and should be on"
		case s == reboot && (w.phase != vm.Rebooting || a.rebooted >= w.rebootSeq):
			bad = "reboot once for each request"
		case s == restart && (!a.state.Alive() || !w.restartDue(a) || w.aim() != aimUp):
			bad = "restart what runs and is to have another size"
		case s == grow && (w.phase != vm.Running && w.phase != vm.Lost || !a.state.Alive() || !w.resizeDue(a) || w.restart):
			bad = "grow what runs and needs no restart"
		case s == sayRunning && w.restartDue(a):
			bad = "say running of the size before"
		case s == rebuild && (a.made == 0 || a.made >= w.rebuilt || w.aim() != aimUp):
			bad = "rebuild only what is of an earlier life"
		case (s == bringUp || s == revive || s == sayRunning || s == await) && a.made != 0 && a.made < w.rebuilt:
			bad = "bring up nothing of an earlier life"
		case s == replace && a.seq == w.seq:
			bad = "replace only another instance"
		case s == leave && !behind && w.aim() != aimNone && a.made <= w.seq:
			bad = "leave alone only what is not ours, or newer than what is known"
		case slices.Contains([]step{replace, rebuild, restart, bringUp, sayRunning}, s) && a.made > w.seq:
			bad = "touch nothing that is newer than what is known"
		}
		if bad != "" {
			t.Fatalf("%s: step %d for %+v, %+v", bad, s, w, a)
		}
	})
}

func TestDecide(t *testing.T) {
	t.Parallel()
	up := is{state: hypervisor.StateRunning, seq: 2, proven: true}
	mute := is{state: hypervisor.StateRunning, seq: 2}
	off := is{state: hypervisor.StateStopped, seq: 2, stop: hypervisor.StopForced}
	died := is{state: hypervisor.StateCrashed, seq: 2, stop: hypervisor.StopProcessDied}
	left := is{state: hypervisor.StateStopped, seq: 2, stop: hypervisor.StopGuest, started: 5}
	again := left
	again.started = 4
	for _, c := range []struct {
		phase vm.Phase
		a     is
		want  step
	}{
		{vm.Assigned, is{state: hypervisor.StateAbsent}, announce},
		{vm.Provisioning, is{state: hypervisor.StateAbsent}, bringUp},
		{vm.Provisioning, off, bringUp},
		{vm.Provisioning, died, bringUp},
		{vm.Provisioning, mute, await},
		{vm.Provisioning, up, sayRunning},
		{vm.Provisioning, left, sayGuestStopped},
		{vm.Provisioning, again, bringUp},
		{vm.Provisioning, is{state: hypervisor.StatePaused, seq: 2}, resume},
		{vm.Provisioning, is{state: hypervisor.StateRunning, seq: 1}, replace},
		{vm.Running, up, sayRunning},
		{vm.Running, mute, await},
		{vm.Running, died, revive},
		{vm.Running, off, revive},
		{vm.Running, left, sayGuestStopped},
		{vm.Rebooting, up, reboot},
		{vm.Rebooting, died, bringUp},
		{vm.Rebooting, is{state: hypervisor.StateRunning, seq: 2, rebooted: 1}, await},
		{vm.Rebooting, is{state: hypervisor.StateRunning, seq: 2, rebooted: 1, proven: true}, sayRunning},
		{vm.Stopping, up, shutDown},
		{vm.Stopping, off, sayStopped},
		{vm.Stopped, off, sayStopped},
		{vm.Stopped, up, shutDown},
		{vm.Failed, off, rest},
		{vm.Failed, up, shutDown},
		{vm.Lost, up, sayRunning},
		{vm.Terminating, up, destroy},
		{vm.Terminated, is{state: hypervisor.StateAbsent}, destroy},
		{vm.Pending, up, leave},
		{vm.Archived, off, leave},
	} {
		w := want{phase: c.phase, on: true, proofs: true, seq: 2, generation: 5, rebootSeq: 1}
		if got := decide(w, c.a); got != c.want {
			t.Errorf("%s with %+v: step %d, want %d", c.phase, c.a, got, c.want)
		}
	}
}

func TestDecideResizeAndRebuild(t *testing.T) {
	t.Parallel()
	up := is{state: hypervisor.StateRunning, seq: 2, proven: true, sized: 4, made: 2}
	mute := up
	mute.proven = false
	resized := up
	resized.sized = 5
	left := is{state: hypervisor.StateStopped, seq: 2, stop: hypervisor.StopGuest, started: 4, sized: 4, made: 2}
	disk := want{on: true, proofs: true, seq: 2, generation: 5, resize: 5}
	larger := disk
	larger.restart = true
	blank := want{on: true, proofs: true, seq: 2, generation: 5, rebuilt: 2}
	old := is{state: hypervisor.StateRunning, seq: 1, proven: true, made: 1}
	rest := is{state: hypervisor.StateAbsent, made: 1}
	for _, c := range []struct {
		w     want
		phase vm.Phase
		a     is
		want  step
	}{
		{disk, vm.Running, up, grow},
		{disk, vm.Running, mute, await},
		{disk, vm.Running, resized, sayRunning},
		{disk, vm.Running, left, sayGuestStopped},
		{disk, vm.Rebooting, up, sayRunning},
		{disk, vm.Stopped, left, sayStopped},
		{larger, vm.Rebooting, up, restart},
		{larger, vm.Rebooting, mute, restart},
		{larger, vm.Rebooting, left, bringUp},
		{larger, vm.Rebooting, resized, sayRunning},
		{larger, vm.Running, up, restart},
		{larger, vm.Running, left, bringUp},
		{larger, vm.Provisioning, up, restart},
		{larger, vm.Provisioning, left, bringUp},
		{larger, vm.Stopping, up, shutDown},
		{blank, vm.Provisioning, old, rebuild},
		{blank, vm.Provisioning, rest, rebuild},
		{blank, vm.Provisioning, is{state: hypervisor.StateAbsent}, bringUp},
		{blank, vm.Provisioning, up, sayRunning},
		{blank, vm.Running, old, rebuild},
		{blank, vm.Assigned, rest, announce},
		{blank, vm.Stopping, old, shutDown},
		{blank, vm.Terminating, old, destroy},
		{blank, vm.Running, is{state: hypervisor.StateRunning, seq: 3, made: 3}, leave},
	} {
		c.w.phase = c.phase
		if got := decide(c.w, c.a); got != c.want {
			t.Errorf("%+v with %+v: step %d, want %d", c.w, c.a, got, c.want)
		}
	}
}

func TestSentence(t *testing.T) {
	t.Parallel()
	long := fmt.Errorf("a\nb\x00\x7f %s", strings.Repeat("é", 300))
	got := sentence(long)
	if len(got) > vm.MaxMessageLen || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\x00\x7f") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	sum := &image.ChecksumError{Name: strings.Repeat("n", 63), Want: strings.Repeat("a", 64), Got: strings.Repeat("b", 64)}
	got = sentence(errors.Join(errors.New(strings.Repeat("x", 300)), sum))
	if !strings.Contains(got, sum.Want) || !strings.Contains(got, sum.Got) {
		t.Errorf("%q does not name both sums", got)
	}
}
