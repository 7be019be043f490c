package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/guestchannel"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/report"
)

// awaitPoll is how soon a VM whose guest is awaited is looked at again, unless
// something happens.
const awaitPoll = 5 * time.Second

// reconcile takes the next step for one VM.
func (a *Agent) reconcile(ctx context.Context, id vm.ID) (time.Duration, error) {
	r, ok, err := a.State.get(id)
	if err != nil || !ok {
		return 0, err // a machine the chain never gave us is left alone
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.mu.Lock()
	a.working[id] = work{aim: r.want().aim(), seq: r.want().seq, cancel: cancel}
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.working, id)
		a.mu.Unlock()
	}()

	again, err := a.next(ctx, r)
	if err != nil && ctx.Err() != nil {
		return 0, nil // interrupted: poked already
	}
	return again, err
}

func (a *Agent) next(ctx context.Context, r record) (time.Duration, error) {
	id := r.vm.ID
	u := a.unit(id)
	info, err := a.Driver.Inspect(ctx, id)
	if err != nil {
		return 0, a.hinder(ctx, u, r, err)
	}
	if info.State.Alive() && info.InstanceSeq == r.vm.Status.InstanceSeq && r.want().aim() == aimUp {
		a.adopt(ctx, u, r, info)
	}
	if !info.State.Alive() {
		u.closeChannel()
	}
	w := r.want()
	if w.aim() == aimUp && u.given == (attempt{w.seq, w.generation}) {
		return 0, nil // it was given back: the chain will say where it goes
	}
	now := is{
		state: info.State, stop: info.StopReason, seq: info.InstanceSeq, proven: u.proof() != nil,
		rebooted: r.local.Rebooted, started: r.local.Started, sized: r.local.Sized, made: r.local.DiskSeq, generation: info.Generation,
	}
	// What the hypervisor knows holds also where a note of ours was lost.
	if info.State != hypervisor.StateAbsent {
		now.made = info.InstanceSeq
	}
	if info.State.Alive() {
		now.sized = max(now.sized, info.Generation)
	}
	u.sized = now.sized
	s := decide(w, now)
	if err := fault.Point("agent.step"); err != nil {
		return 0, err
	}
	again, err := a.act(ctx, s, u, r, info)
	if err != nil {
		return 0, a.hinder(ctx, u, r, err)
	}
	return again, nil
}

// act carries a step out.
func (a *Agent) act(ctx context.Context, s step, u *unit, r record, info hypervisor.Info) (time.Duration, error) {
	switch s {
	case leave:
		return 0, nil
	case announce:
		return 0, a.announce(ctx, u, r)
	case bringUp:
		return awaitPoll, a.bringUp(ctx, u, r)
	case revive:
		return awaitPoll, a.revive(ctx, u, r, info)
	case replace:
		return time.Millisecond, a.cut(ctx, u, r)
	case resume:
		return time.Second, a.resume(ctx, r, info)
	case await:
		return awaitPoll, a.await(u, r)
	case sayRunning:
		return 0, a.up(u, r)
	case reboot:
		return time.Millisecond, a.reboot(ctx, u, r)
	case restart:
		a.Log.Info("machine is restarted into another size", "vm_id", r.vm.ID, "generation", r.vm.Resize.Generation)
		return time.Millisecond, a.shutDown(ctx, u, r)
	case grow:
		return 0, a.grow(ctx, u, r)
	case rebuild:
		return time.Millisecond, a.rebuild(ctx, u, r)
	case shutDown:
		return time.Millisecond, a.shutDown(ctx, u, r)
	case sayStopped:
		reason, message := a.howDown(r, info)
		return 0, a.stopped(ctx, u, r, reason, message)
	case sayGuestStopped:
		return 0, a.stopped(ctx, u, r, vm.ReasonGuestShutdown, "the guest shut itself down")
	case rest:
		return 0, a.rest(ctx, u, r)
	case destroy:
		return 0, a.destroy(ctx, u, r, info)
	default:
		return 0, fmt.Errorf("step %d is unknown", s)
	}
}

// up says that a VM runs. From the first time on its disk is worth keeping: that
// is noted here before the chain can say so.
func (a *Agent) up(u *unit, r record) error {
	if !r.hasData() {
		if err := a.State.note(r.vm.ID, func(l *local) { l.Ran = true }); err != nil {
			return err
		}
		if err := fault.Point("agent.run_noted"); err != nil {
			return err
		}
	}
	u.troubleSince = time.Time{}
	a.say(u, r, vm.Running, "", "")
	return nil
}

// say states a VM's phase to the chain, with proofs if it is up.
func (a *Agent) say(u *unit, r record, phase vm.Phase, reason, message string) {
	w := r.want()
	said := vm.Report{
		ID: r.vm.ID, InstanceSeq: w.seq, ObservedGeneration: w.generation, Phase: phase, Reason: reason, Message: message,
		ObservedRebootSeq: min(max(r.local.Rebooted, r.vm.Status.ObservedRebootSeq), w.rebootSeq),
		SizeGeneration:    min(u.sized, w.generation),
	}
	var proofs report.Proofs
	if phase == vm.Running {
		proofs = func(after int64) (*guestchannel.Proof, bool) { return u.nextProof(r.vm.Status, after) }
		if size := r.vm.Resize; size != nil && said.SizeGeneration >= size.Generation {
			// Its price is charged from this proof on: none from before will do.
			proofs = func(int64) (*guestchannel.Proof, bool) { return u.sizeProof(), false }
		}
	}
	a.reporter.Say(said, proofs)
}

// hinder is what becomes of an error: it is reported with the phase the VM is
// in, and returned so that the step is tried again; a VM without data that
// cannot be brought up here is given back. An interruption is only returned.
func (a *Agent) hinder(ctx context.Context, u *unit, r record, err error) error {
	if ctx.Err() != nil {
		return err // whatever it says
	}
	t := diagnose(err)
	w := r.want()
	if u.troubleSince.IsZero() {
		u.troubleSince = time.Now()
	}
	switch w.aim() {
	case aimUp:
		tired := !t.patient && time.Since(u.troubleSince) > a.c.GiveUp
		if !r.hasData() && (t.hopeless || tired) {
			return a.fail(ctx, u, r, t)
		}
		a.say(u, r, a.phaseNow(r), t.reason, t.message)
	case aimDown:
		if w.phase == vm.Stopping {
			a.say(u, r, vm.Stopping, t.reason, t.message)
		}
	case aimGone:
		if w.phase == vm.Terminating && !w.released {
			a.say(u, r, vm.Failed, t.reason, t.message) // it stays Terminating, and says why
		}
	case aimNone:
	}
	return err
}

// phaseNow is the phase that a trouble is told with: what was last said, as the
// chain may not have answered yet, and a trouble alone is no step back.
func (a *Agent) phaseNow(r record) vm.Phase {
	w := r.want()
	if last, ok := a.reporter.Last(r.vm.ID); ok && last.InstanceSeq == w.seq && last.ObservedGeneration == w.generation {
		switch last.Phase { //nolint:exhaustive // the others lead elsewhere
		case vm.Provisioning, vm.Running, vm.Rebooting:
			return last.Phase
		}
	}
	return upPhase(w.phase)
}

// upPhase is the phase to report with a trouble on the way up.
func upPhase(p vm.Phase) vm.Phase {
	if p == vm.Assigned {
		return vm.Provisioning
	}
	if p == vm.Lost {
		return vm.Running
	}
	return p
}

// fail gives a VM without data back: all of it is removed here, then said.
func (a *Agent) fail(ctx context.Context, u *unit, r record, t trouble) error {
	if err := a.dismantle(ctx, u, r.vm.ID); err != nil {
		return errors.Join(errors.New(t.message), err)
	}
	a.Log.Warn("VM failed here", "vm_id", r.vm.ID, "reason", t.reason, "message", t.message)
	a.say(u, r, vm.Failed, t.reason, t.message)
	u.given = attempt{r.want().seq, r.want().generation}
	return nil
}
