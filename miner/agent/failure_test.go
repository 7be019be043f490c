package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/record"
	"github.com/hippius/compute/miner/secrets"
)

// What will not get better here is given back: the reason is told, and nothing
// of the VM is left.
func TestGivenBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(w *world)
		reason string
		says   string
	}{
		"wrong image": {func(w *world) {
			path := strings.TrimPrefix(w.catalogue.images[0].URLs[0], "file://")
			if err := os.WriteFile(path, []byte("another image"), 0o600); err != nil {
				w.t.Fatal(err)
			}
		}, agent.ReasonImageChecksum, "want "},
		"no image": {func(w *world) {
			w.catalogue.images[0].URLs = []string{"file:///nowhere"}
			w.config.GiveUp = 100 * time.Millisecond
		}, agent.ReasonImageUnavailable, "nowhere"},
		"no space for the disk":  {func(w *world) { w.driver.SetNoSpace(true) }, agent.ReasonNoSpace, "space"},
		"no space for the image": {func(w *world) { w.catalogue.images[0].SizeBytes = 1 << 39 }, agent.ReasonNoSpace, "bytes"},
		"image not listed":       {func(w *world) { w.catalogue.images = nil }, agent.ReasonCatalogue, "tiny"},
		"user data":              {func(w *world) { w.keepers.userData = []byte{0x1f, 0x8b, 0} }, agent.ReasonUserData, "user data"},
		"secrets that do not fit": {func(w *world) {
			w.keepers.set(fmt.Errorf("dealt badly: %w", secrets.ErrInconsistent))
		}, agent.ReasonSecrets, "fit together"},
		"network": {func(w *world) {
			w.network.set(errors.New("no such device"))
			w.config.GiveUp = 100 * time.Millisecond
		}, agent.ReasonNetwork, "no such device"},
		"guest not heard": {func(w *world) {
			w.deafMute.Store(true)
			w.config.BootTimeout = 100 * time.Millisecond
			w.config.Resync = 20 * time.Millisecond
		}, agent.ReasonBootTimeout, "console"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.spoil(w)
			w.startAgent()
			id := w.newVM()
			w.until("failed", func() bool { return w.chain.Saw(id, "failed "+c.reason) })
			if s := w.chain.Get(id).Status; !strings.Contains(s.Message, c.says) {
				t.Errorf("message %q does not say %q", s.Message, c.says)
			}
			w.until("forgotten", func() bool {
				known, err := record.New(w.db).Cursor()
				return err == nil && known > 0 && len(w.leftovers(id)) == 0
			})
			w.stopAgent()
			w.wantNone(name, w.leftovers(id))
		})
	}
}

// What passes by itself is told while it lasts, and loses nothing.
func TestWaitedOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil, mend func(w *world, id vm.ID)
		reason      string
	}{
		"keepers away": {
			func(w *world, _ vm.ID) { w.keepers.set(errors.New("keeper val-1: connection refused")) },
			func(w *world, _ vm.ID) { w.keepers.set(nil) }, agent.ReasonSecrets,
		},
		"hypervisor down": {
			func(w *world, _ vm.ID) { w.driver.SetHypervisorDown(true) },
			func(w *world, _ vm.ID) { w.driver.SetHypervisorDown(false) }, agent.ReasonHypervisorDown,
		},
		"catalogue away": {
			func(w *world, _ vm.ID) { w.catalogue.set(errors.New("no node answers")) },
			func(w *world, _ vm.ID) { w.catalogue.set(nil) }, agent.ReasonCatalogue,
		},
		"start fails": {
			func(w *world, id vm.ID) { w.driver.FailStarts(id, 1000) },
			func(w *world, id vm.ID) { w.driver.FailStarts(id, 0) }, agent.ReasonStartFailed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.newVM()
			c.spoil(w, id)
			w.startAgent()
			w.until("told", func() bool { return w.chain.Saw(id, "provisioning "+c.reason) })
			w.looked(id, 6) // and fails again
			if p := w.chain.Phase(id); p != vm.Provisioning {
				t.Errorf("phase %s was lost to it", p)
			}
			w.until("nothing is left lying meanwhile", func() bool { return len(w.runtime(id)) == 0 })
			c.mend(w, id)
			w.until("running", func() bool { return w.runs(id) })
			w.until("told that it is over", func() bool { return w.chain.Get(id).Status.Reason == "" })
		})
	}
}

// A VM is stopped for lack of credit, and its host fails on the way: that is told, and neither keeps the VM from being
// off in the end nor takes the place of the cause.
func TestFailureWhileStopping(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{vm.ReasonCreditRunOut, vm.ReasonTenant} {
		w := newWorld(t)
		w.startAgent()
		id := w.newVM()
		w.until("running", func() bool { return w.runs(id) })
		w.driver.SetHypervisorDown(true)
		w.chain.Change(id, func(v *vm.VM) {
			v.Generation++
			v.Spec.On, v.Status.Phase, v.Status.Reason = false, vm.Stopping, reason
		})
		w.until("told", func() bool { return w.chain.Saw(id, "stopping "+agent.ReasonHypervisorDown) })
		w.until("the words are on the chain", func() bool {
			s := w.chain.Get(id).Status
			return s.Reason == reason && s.Message != ""
		})
		w.driver.SetHypervisorDown(false)
		w.untilPhase(id, vm.Stopped)
		if s := w.chain.Get(id).Status; s.Reason != reason {
			t.Errorf("the VM is stopped for %q (%s), want %q", s.Reason, s.Message, reason)
		}
	}
}

// A VM with data is never given back, whatever happens.
func TestDataStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.GiveUp, w.config.BootTimeout = 50*time.Millisecond, 3*time.Second
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	w.driver.SetNoSpace(true)
	w.order(id, vm.Start)
	w.until("told", func() bool { return w.chain.Saw(id, "provisioning "+agent.ReasonNoSpace) })
	time.Sleep(2 * w.config.GiveUp) // one without data would be given back now
	w.looked(id, 6)
	if has, err := w.driver.HasDisk(t.Context(), hypervisor.Root(id)); err != nil || !has {
		t.Fatal("its disk is gone")
	}
	w.deafMute.Store(true)
	w.driver.SetNoSpace(false)
	w.until("told of the boot", func() bool { return w.chain.Saw(id, "provisioning "+agent.ReasonBootTimeout) })
	if s := w.inspect(id).State; s != hypervisor.StateRunning {
		t.Errorf("a VM with data whose agent is silent became %s; its console may help", s)
	}
}

// While its guest is awaited, a VM is reported on also after its tenant changed it, and by an agent that was started anew: what is not
// reported of a start is not paid.
func TestAwaitedVMIsReportedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.BootTimeout = time.Minute
	w.deafMute.Store(true)
	w.startAgent()
	id := w.newVM()
	w.until("started", func() bool { return w.inspect(id).State.Alive() && w.chain.Saw(id, "provisioning ") })
	change := func() {
		t.Helper()
		w.chain.Change(id, func(v *vm.VM) { v.Generation++ })
		w.until("reported in the new generation", func() bool {
			v := w.chain.Get(id)
			return v.Status.ObservedGeneration == v.Generation
		})
	}
	change()
	w.stopAgent()
	w.startAgent()
	change()
	if p := w.chain.Phase(id); p != vm.Provisioning {
		t.Errorf("it is %s", p)
	}
}

// A VM that had data is never started on a blank disk.
func TestNeverBlank(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	if err := w.driver.TrashDisk(t.Context(), hypervisor.Root(id)); err != nil {
		t.Fatal(err)
	}
	w.order(id, vm.Start)
	w.until("told", func() bool { return w.chain.Saw(id, "provisioning "+agent.ReasonDiskMissing) })
	if has, err := w.driver.HasDisk(t.Context(), hypervisor.Root(id)); err != nil || has {
		t.Errorf("it has a disk again: %v, %v", has, err)
	}
	if err := w.driver.RestoreDisk(t.Context(), hypervisor.Root(id)); err != nil {
		t.Fatal(err)
	}
	w.until("running", func() bool { return w.runs(id) })
}

func TestHypervisorDownWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.driver.SetHypervisorDown(true)
	w.until("told", func() bool { return w.chain.Saw(id, "running "+agent.ReasonHypervisorDown) })
	proofs := w.chain.Proven(id)
	w.until("the guest still proves itself", func() bool { return w.chain.Proven(id) > proofs+2 })
	w.order(id, vm.Stop)
	w.until("told", func() bool { return w.chain.Saw(id, "stopping "+agent.ReasonHypervisorDown) })
	w.driver.SetHypervisorDown(false)
	w.untilPhase(id, vm.Stopped)
}

// hardOfHearing never takes the news that a VM runs.
type hardOfHearing struct {
	agent.Chain
	told chan struct{}
}

func (c hardOfHearing) Report(ctx context.Context, reports []vm.Report) ([]vm.ReportResult, error) {
	for _, r := range reports {
		if r.Phase == vm.Running {
			select {
			case c.told <- struct{}{}:
			default:
			}
			return nil, errors.New("no node answers")
		}
	}
	return c.Chain.Report(ctx, reports)
}

// Once it has run a VM's disk is kept, although the chain does not know
// yet that there is anything on it.
func TestDataStaysBeforeTheChainKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := make(chan struct{}, 1)
	w.parts = func(p *agent.Parts) { p.Chain = hardOfHearing{p.Chain, told} }
	w.config.GiveUp = time.Millisecond
	w.startAgent()
	id := w.newVM()
	<-told
	if err := w.driver.PauseForSpace(id); err != nil {
		t.Fatal(err)
	}
	w.until("it runs", func() bool { return w.inspect(id).State == hypervisor.StateRunning })
	w.driver.SetNoSpace(true)
	if err := w.driver.KillProcess(id); err != nil {
		t.Fatal(err)
	}
	w.looked(id, 6)
	if has, err := w.driver.HasDisk(t.Context(), hypervisor.Root(id)); err != nil || !has {
		t.Error("its disk is gone")
	}
}

// A VM that the host's full disk paused goes on when there is room.
func TestPausedForSpace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	pid := w.inspect(id).PID
	if err := w.driver.PauseForSpace(id); err != nil {
		t.Fatal(err)
	}
	w.until("it runs", func() bool { return w.inspect(id).State == hypervisor.StateRunning })
	proofs := w.chain.Proven(id)
	w.until("proofs go on", func() bool { return w.chain.Proven(id) > proofs+1 })
	if got := w.inspect(id); got.PID != pid || got.State != hypervisor.StateRunning {
		t.Errorf("VM %+v, want process %d running", got, pid)
	}
}

func TestNoAgentInGuest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deafMute.Store(true)
	id := w.newVM()
	w.chain.Change(id, func(v *vm.VM) { v.Spec.Agent = vm.AgentNone })
	w.startAgent()
	w.untilPhase(id, vm.Running)
}

// An earlier instance's VM is not passed off as the present one.
func TestNextInstanceOnTheSameHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.chain.Change(id, func(v *vm.VM) {
		v.Status.InstanceSeq, v.Status.Phase = 2, vm.Assigned
	})
	w.until("running as instance 2", func() bool { return w.runs(id) && w.inspect(id).InstanceSeq == 2 })
	proofs := w.chain.Proven(id)
	w.until("proofs of instance 2", func() bool { return w.chain.Proven(id) > proofs+1 })
}

// A VM that the chain has given up is stopped, and reported as failed: its disk is charged on that word, unless it is missing.
func TestFailedIsReported(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(w *world, id vm.ID)
		reason string
	}{
		"with its disk": {func(*world, vm.ID) {}, vm.ReasonBootTimeout},
		"without it": {func(w *world, id vm.ID) {
			if err := w.driver.TrashDisk(w.t.Context(), hypervisor.Root(id)); err != nil {
				w.t.Fatal(err)
			}
		}, agent.ReasonDiskMissing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.startAgent()
			id := w.newVM()
			w.until("running", func() bool { return w.runs(id) })
			w.stopAgent()
			if err := w.driver.KillProcess(id); err != nil {
				t.Fatal(err)
			}
			c.spoil(w, id)
			w.chain.Change(id, func(v *vm.VM) {
				v.Status.Phase, v.Status.Reason, v.Spec.On = vm.Failed, vm.ReasonBootTimeout, false
				v.Generation++
			})
			w.startAgent()
			w.until("told", func() bool { return w.chain.Saw(id, "failed "+c.reason) })
			if s := w.inspect(id).State; s.Alive() || w.chain.Phase(id) != vm.Failed {
				t.Errorf("it is %s, on chain %s", s, w.chain.Phase(id))
			}
		})
	}
}

// A stopped VM is reported as such for as long as its disk is here, which is charged on that word; one whose disk is missing has failed,
// until the disk is back.
func TestStoppedWithoutItsDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	w.heard(id)
	if w.chain.Phase(id) != vm.Stopped {
		t.Fatalf("it is %s with its disk", w.chain.Phase(id))
	}
	if err := w.driver.TrashDisk(t.Context(), hypervisor.Root(id)); err != nil {
		t.Fatal(err)
	}
	w.until("told", func() bool { return w.chain.Saw(id, "failed "+agent.ReasonDiskMissing) })
	w.heard(id)
	if s := w.chain.Get(id).Status; s.Phase != vm.Failed || s.Reason != agent.ReasonDiskMissing || s.Message == "" {
		t.Errorf("it is %s (%s: %s)", s.Phase, s.Reason, s.Message)
	}
	if err := w.driver.RestoreDisk(t.Context(), hypervisor.Root(id)); err != nil {
		t.Fatal(err)
	}
	w.untilPhase(id, vm.Stopped)
	w.order(id, vm.Start)
	w.until("running", func() bool { return w.runs(id) })
}
