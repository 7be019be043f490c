package vmtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// Run puts a driver through the suite. open is called once for each test.
func Run(t *testing.T, open func(t *testing.T) *Harness) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Harness)
	}{
		{"Life", life},
		{"GuestPowersOff", guestPowersOff},
		{"ProcessDies", processDies},
		{"Deaf", deaf},
		{"Reboot", reboot},
		{"Pause", pause},
		{"Console", console},
		{"Channel", channel},
		{"ChannelEcho", channelEcho},
		{"Adopt", adopt},
		{"Down", down},
		{"Full", full},
		{"Refusals", refusals},
		{"Disk", resizeAndTrash},
		{"TwoDisks", twoDisks},
		{"AtOnce", atOnce},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// life takes one VM from nothing to nothing.
func life(t *testing.T, h *Harness) {
	ctx := t.Context()
	m := h.Definition(t, false)
	if info := h.inspect(t, m.ID); info.State != hypervisor.StateAbsent {
		t.Fatalf("before anything the VM is %q", info.State)
	}
	h.destroyLater(t, m.ID)
	must(t, "define", h.Driver.Define(ctx, m))
	must(t, "define again", h.Driver.Define(ctx, m))
	info := h.inspect(t, m.ID)
	want := hypervisor.Info{
		ID: m.ID, InstanceSeq: m.InstanceSeq, Generation: m.Generation, Name: m.Name,
		State: hypervisor.StateStopped, Tap: m.Tap, MAC: m.MAC, Since: info.Since,
	}
	if info != want {
		t.Fatalf("defined VM is %+v, want %+v", info, want)
	}
	if err := h.Driver.Start(ctx, m.ID, m.DiskKey); !errors.Is(err, hypervisor.ErrNoDisk) {
		t.Fatalf("start without a disk: %v, want ErrNoDisk", err)
	}

	must(t, "create disk", h.Driver.CreateDisk(ctx, m.Root()))
	if err := h.Driver.Start(ctx, m.ID, NewKey()); !errors.Is(err, hypervisor.ErrWrongKey) {
		t.Fatalf("start with another key: %v, want ErrWrongKey", err)
	}
	if info := h.inspect(t, m.ID); info.State != hypervisor.StateStopped || info.StopReason != hypervisor.StopStartFailed {
		t.Fatalf("after a failed start the VM is %+v", info)
	}

	h.boot(t, m, 1)
	first := h.inspect(t, m.ID)
	if first.State != hypervisor.StateRunning || first.PID == 0 || first.StopReason != hypervisor.StopNone || time.Since(first.Since) > h.Timeout {
		t.Fatalf("started VM is %+v", first)
	}
	must(t, "start again", h.Driver.Start(ctx, m.ID, m.DiskKey))
	must(t, "create disk again", h.Driver.CreateDisk(ctx, m.Root()))
	if again := h.inspect(t, m.ID); again.PID != first.PID || !again.Since.Equal(first.Since) {
		t.Fatalf("a second start changed %+v to %+v", first, again)
	}
	if s, err := h.Driver.Stats(ctx, m.ID); err != nil || s.CPUTime <= 0 || s.MemoryBytes == 0 || s.DiskAllocated == 0 || s.DiskWriteOps == 0 {
		t.Fatalf("stats of a running VM: %+v, %v", s, err)
	}

	h.stop(t, m.ID, hypervisor.MannerGuest)
	if info := h.inspect(t, m.ID); info.State != hypervisor.StateStopped || info.StopReason != hypervisor.StopGuest || info.PID != 0 {
		t.Fatalf("stopped VM is %+v", info)
	}
	h.stop(t, m.ID, hypervisor.MannerNone)

	m.Generation++
	m.InstanceSeq++
	m.Name = "renamed"
	must(t, "define a newer generation", h.Driver.Define(ctx, m))
	if info := h.inspect(t, m.ID); info.Generation != m.Generation || info.InstanceSeq != m.InstanceSeq || info.Name != m.Name {
		t.Fatalf("redefined VM is %+v", info)
	}
	h.boot(t, m, 2)
	if h.inspect(t, m.ID).PID == first.PID {
		t.Error("two processes, one pid")
	}

	must(t, "destroy", h.Driver.Destroy(ctx, m.ID))
	must(t, "destroy again", h.Driver.Destroy(ctx, m.ID))
	if info := h.inspect(t, m.ID); info != (hypervisor.Info{ID: m.ID, State: hypervisor.StateAbsent}) {
		t.Fatalf("destroyed VM is %+v", info)
	}

	// Destroying was a mistake: everything is still there.
	must(t, "restore disk", h.Driver.RestoreDisk(ctx, hypervisor.Root(m.ID)))
	must(t, "define once more", h.Driver.Define(ctx, m))
	h.boot(t, m, 3)
}

func (h *Harness) stop(t *testing.T, id vm.ID, want hypervisor.Manner) {
	t.Helper()
	got, err := h.Driver.Shutdown(t.Context(), id, h.Deadline)
	must(t, "shutdown", err)
	if got != want {
		t.Fatalf("VM stopped in manner %q, want %q", got, want)
	}
}

func guestPowersOff(t *testing.T, h *Harness) {
	m := h.create(t, false)
	h.boot(t, m, 1)
	ctx, cancel := context.WithCancel(t.Context())
	events := h.Driver.Events(ctx)
	h.PowerOff(t, m.ID)
	h.told(t, events, m.ID)
	h.reaches(t, m.ID, hypervisor.StateStopped, hypervisor.StopGuest)
	cancel()
	h.eventually(t, "the events to end", func() bool {
		select {
		case _, open := <-events:
			return !open
		default:
			return false
		}
	})
}

func (h *Harness) told(t *testing.T, events <-chan vm.ID, id vm.ID) {
	t.Helper()
	for timeout := time.After(h.Timeout); ; {
		select {
		case got := <-events:
			if got == id || got == "" {
				return
			}
		case <-timeout:
			t.Fatalf("no event in %v", h.Timeout)
		}
	}
}

func processDies(t *testing.T, h *Harness) {
	m := h.create(t, false)
	h.boot(t, m, 1)
	events := h.Driver.Events(t.Context())
	h.KillProcess(t, m.ID)
	h.told(t, events, m.ID)
	h.reaches(t, m.ID, hypervisor.StateCrashed, hypervisor.StopProcessDied)
	h.boot(t, m, 2)
}

func deaf(t *testing.T, h *Harness) {
	m := h.create(t, true)
	h.boot(t, m, 1)

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := h.Driver.Shutdown(ctx, m.ID, h.Timeout); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("shutdown whose context ended: %v", err)
	}
	if info := h.inspect(t, m.ID); info.State != hypervisor.StateRunning {
		t.Fatalf("a caller that gave up left the VM %+v", info)
	}

	const deadline = time.Second
	start := time.Now()
	manner, err := h.Driver.Shutdown(t.Context(), m.ID, deadline)
	if err != nil || manner != hypervisor.MannerForced || time.Since(start) < deadline {
		t.Fatalf("after %v a deaf VM stopped in manner %q, %v", time.Since(start), manner, err)
	}
	if info := h.inspect(t, m.ID); info.State != hypervisor.StateStopped || info.StopReason != hypervisor.StopForced {
		t.Fatalf("forced VM is %+v", info)
	}
	h.boot(t, m, 2)
	if manner, err := h.Driver.Reboot(t.Context(), m.ID, deadline); err != nil || manner != hypervisor.MannerForced {
		t.Fatalf("a deaf VM rebooted in manner %q, %v", manner, err)
	}
	h.booted(t, m.ID, 3)
	// The reboot is over: a power-off is one again.
	h.PowerOff(t, m.ID)
	h.reaches(t, m.ID, hypervisor.StateStopped, hypervisor.StopGuest)
	h.boot(t, m, 4)
	if manner, err := h.Driver.Shutdown(t.Context(), m.ID, 0); err != nil || manner != hypervisor.MannerForced {
		t.Fatalf("cut off in manner %q, %v", manner, err)
	}
}

func reboot(t *testing.T, h *Harness) {
	m := h.create(t, false)
	if _, err := h.Driver.Reboot(t.Context(), m.ID, h.Deadline); !errors.Is(err, hypervisor.ErrState) {
		t.Fatalf("reboot of a stopped VM: %v, want ErrState", err)
	}
	// Asked before the guest listens: the first requests are lost.
	must(t, "start", h.Driver.Start(t.Context(), m.ID, m.DiskKey))
	manner, err := h.Driver.Reboot(t.Context(), m.ID, h.Deadline)
	if err != nil || manner != hypervisor.MannerGuest {
		t.Fatalf("rebooted in manner %q, %v", manner, err)
	}
	h.booted(t, m.ID, 2)
	if info := h.inspect(t, m.ID); info.State != hypervisor.StateRunning {
		t.Fatalf("rebooted VM is %+v", info)
	}
	h.stop(t, m.ID, hypervisor.MannerGuest)
}

func pause(t *testing.T, h *Harness) {
	ctx := t.Context()
	m := h.create(t, false)
	h.boot(t, m, 1)
	must(t, "suspend", h.Driver.Suspend(ctx, m.ID))
	must(t, "suspend again", h.Driver.Suspend(ctx, m.ID))
	info := h.inspect(t, m.ID)
	if info.State != hypervisor.StatePaused || info.PauseReason != hypervisor.PauseRequested || info.PID == 0 {
		t.Fatalf("suspended VM is %+v", info)
	}
	must(t, "start a paused VM", h.Driver.Start(ctx, m.ID, m.DiskKey))
	if got := h.inspect(t, m.ID).State; got != hypervisor.StatePaused {
		t.Fatalf("start made a paused VM %q", got)
	}
	must(t, "resume", h.Driver.Resume(ctx, m.ID))
	must(t, "resume again", h.Driver.Resume(ctx, m.ID))
	if info := h.inspect(t, m.ID); info.State != hypervisor.StateRunning || info.PauseReason != hypervisor.PauseNone {
		t.Fatalf("resumed VM is %+v", info)
	}
	must(t, "suspend", h.Driver.Suspend(ctx, m.ID))
	h.stop(t, m.ID, hypervisor.MannerGuest)
}

func adopt(t *testing.T, h *Harness) {
	running, stopped := h.create(t, false), h.create(t, false)
	h.boot(t, running, 1)
	before := h.inspect(t, running.ID)
	h.Reopen(t)
	if after := h.inspect(t, running.ID); after != before {
		t.Fatalf("adopted %+v, left %+v", after, before)
	}
	infos, err := h.Driver.List(t.Context())
	must(t, "list", err)
	var ids []vm.ID
	for _, info := range infos {
		ids = append(ids, info.ID)
		if info != h.inspect(t, info.ID) {
			t.Errorf("listed %+v, inspected %+v", info, h.inspect(t, info.ID))
		}
	}
	if want := slices.Sorted(slices.Values([]vm.ID{running.ID, stopped.ID})); !slices.Equal(ids, want) {
		t.Fatalf("listed %v, want %v", ids, want)
	}
	h.talk(t, running.ID, "adopted")
	h.stop(t, running.ID, hypervisor.MannerGuest)

	// What happened while nobody looked is known all the same.
	h.boot(t, running, 2)
	h.PowerOff(t, running.ID)
	h.Reopen(t)
	h.reaches(t, running.ID, hypervisor.StateStopped, hypervisor.StopGuest)
}

func down(t *testing.T, h *Harness) {
	ctx := t.Context()
	running, dying, leaving := h.create(t, false), h.create(t, false), h.create(t, false)
	h.boot(t, running, 1)
	h.boot(t, dying, 1)
	h.boot(t, leaving, 1)
	before := h.inspect(t, running.ID)

	h.SetDown(t, true)
	up := sync.OnceFunc(func() { h.SetDown(t, false) })
	defer up()
	_, inspectErr := h.Driver.Inspect(ctx, running.ID)
	_, listErr := h.Driver.List(ctx)
	_, shutdownErr := h.Driver.Shutdown(ctx, running.ID, h.Deadline)
	_, statsErr := h.Driver.Stats(ctx, running.ID)
	for what, err := range map[string]error{
		"inspect": inspectErr, "list": listErr, "shutdown": shutdownErr, "stats": statsErr,
		"define":  h.Driver.Define(ctx, running),
		"start":   h.Driver.Start(ctx, running.ID, running.DiskKey),
		"suspend": h.Driver.Suspend(ctx, running.ID),
		"destroy": h.Driver.Destroy(ctx, running.ID),
	} {
		if !errors.Is(err, hypervisor.ErrHypervisorDown) {
			t.Errorf("%s while the hypervisor is down: %v, want ErrHypervisorDown", what, err)
		}
	}
	h.talk(t, running.ID, "still there")
	h.KillProcess(t, dying.ID)
	h.PowerOff(t, leaving.ID)

	up()
	h.eventually(t, "the hypervisor", func() bool {
		_, err := h.Driver.Inspect(ctx, running.ID)
		return err == nil
	})
	if after := h.inspect(t, running.ID); after != before {
		t.Errorf("the VM that ran on is %+v, was %+v", after, before)
	}
	h.reaches(t, dying.ID, hypervisor.StateCrashed, hypervisor.StopProcessDied)
	h.reaches(t, leaving.ID, hypervisor.StateStopped, hypervisor.StopGuest)
	// The key was lost with the daemon and is handed over again.
	h.boot(t, dying, 2)
}

// atOnce does everything that may be repeated, at the same time.
func atOnce(t *testing.T, h *Harness) {
	m := h.create(t, false)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { _ = h.Driver.Define(t.Context(), m) })
		wg.Go(func() {
			if err := h.Driver.Start(t.Context(), m.ID, m.DiskKey); err != nil {
				t.Errorf("start: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := h.Driver.List(t.Context()); err != nil {
				t.Errorf("list: %v", err)
			}
		})
	}
	wg.Wait()
	h.booted(t, m.ID, 1)
	for range 3 {
		wg.Go(func() {
			if _, err := h.Driver.Shutdown(t.Context(), m.ID, h.Deadline); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		})
	}
	wg.Wait()
	h.reaches(t, m.ID, hypervisor.StateStopped, hypervisor.StopGuest)
	log, err := h.Driver.ConsoleLog(t.Context(), m.ID)
	must(t, "console log", err)
	if n := countBoots(log); n != 1 {
		t.Errorf("four starts at once booted %d times", n)
	}
}
