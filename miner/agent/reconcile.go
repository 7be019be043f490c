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
	"github.com/hippius/compute/miner/record"
	"github.com/hippius/compute/miner/report"
	"github.com/hippius/compute/miner/step"
)

// awaitPoll is how soon a VM whose guest is awaited is looked at again, unless
// something happens.
const awaitPoll = 5 * time.Second

// reconcile takes the next step for one VM.
func (a *Agent) reconcile(ctx context.Context, id vm.ID) (time.Duration, error) {
	r, ok, err := a.State.Get(id)
	if err != nil || !ok {
		return 0, err // a VM the chain never gave us is left alone
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.mu.Lock()
	a.working[id] = work{direction: r.Desired().Direction(), seq: r.Desired().Seq, cancel: cancel}
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

func (a *Agent) next(ctx context.Context, r record.Record) (time.Duration, error) {
	id, d := r.VM.ID, r.Desired()
	u := a.vmState(id)
	info, err := a.Driver.Inspect(ctx, id)
	if err != nil {
		return 0, a.reportFailure(ctx, u, r, err)
	}
	up := d.Direction() == step.Up
	switch {
	case !info.State.Alive():
		if !u.known { // it may have run before this agent
			u.known = true
			a.recall(u, id)
		}
		u.ended()
	case up && info.InstanceSeq == d.Seq:
		if !u.known { // it ran before this agent
			u.known = true
			a.recall(u, id)
			a.Log.Info("VM adopted", "vm_id", id, "instance_seq", info.InstanceSeq)
		}
		a.watch(ctx, u, r, info)
	}
	if up && u.failed == (failedAttempt{d.Seq, d.Generation}) {
		return 0, nil // it was given back: the chain will say where it goes
	}
	now := observed(u, r, info)
	u.sized = now.Sized
	s := step.Decide(d, now)
	if err := fault.Point("agent.step"); err != nil {
		return 0, err
	}
	again, err := a.act(ctx, s, u, r, info)
	if err != nil {
		return 0, a.reportFailure(ctx, u, r, err)
	}
	return again, nil
}

// observed is what is here of a VM.
func observed(u *vmState, r record.Record, info hypervisor.Info) step.Observed {
	o := step.Observed{
		State: info.State, Stop: info.StopReason, Seq: info.InstanceSeq, Proven: u.proof() != nil, Generation: info.Generation,
		Rebooted: r.Local.Rebooted, Started: r.Local.Started, Sized: r.Local.Sized, Made: r.Local.DiskSeq,
	}
	// What the hypervisor knows holds also where a note of ours was lost.
	if info.State != hypervisor.StateAbsent {
		o.Made = info.InstanceSeq
	}
	if info.State.Alive() {
		o.Sized = max(o.Sized, info.Generation)
	}
	return o
}

// act carries a step out.
func (a *Agent) act(ctx context.Context, s step.Step, u *vmState, r record.Record, info hypervisor.Info) (time.Duration, error) {
	switch s {
	case step.Leave:
		return 0, nil
	case step.Announce:
		return 0, a.announce(ctx, u, r)
	case step.BringUp:
		return awaitPoll, a.bringUp(ctx, u, r)
	case step.Revive:
		return awaitPoll, a.revive(ctx, u, r, info)
	case step.Replace:
		return time.Millisecond, a.replace(ctx, u, r)
	case step.Resume:
		return time.Second, a.resume(ctx, r, info)
	case step.Await:
		return awaitPoll, a.await(u, r)
	case step.ReportRunning:
		return 0, a.up(u, r)
	case step.Reboot:
		return time.Millisecond, a.reboot(ctx, u, r)
	case step.Restart:
		a.Log.Info("VM restarted in a new size", "vm_id", r.VM.ID, "generation", r.VM.Resize.Generation)
		return time.Millisecond, a.shutDown(ctx, u, r)
	case step.Grow:
		return 0, a.grow(ctx, u, r)
	case step.Rebuild:
		return time.Millisecond, a.rebuild(ctx, u, r)
	case step.ShutDown:
		return time.Millisecond, a.shutDown(ctx, u, r)
	case step.ReportStopped:
		reason, message := a.howDown(r, info)
		return 0, a.stopped(ctx, u, r, reason, message)
	case step.ReportGuestStopped:
		return 0, a.guestStopped(ctx, u, r)
	case step.ReportFailed:
		return 0, a.failed(ctx, u, r)
	case step.Destroy:
		return 0, a.destroy(ctx, u, r, info)
	default:
		return 0, fmt.Errorf("%s is unknown", s)
	}
}

// up says that a VM runs. From the first time on its disk is worth keeping: that
// is noted here before the chain can say so, and so is its proof, as the guest may be gone before it was sent.
func (a *Agent) up(u *vmState, r record.Record) error {
	if p := u.proof(); p != nil && !r.VM.Status.HasData {
		if err := a.State.KeepProofs(map[vm.ID]guestchannel.Proof{r.VM.ID: *p}); err != nil {
			return err
		}
	}
	if err := a.noteRan(r); err != nil {
		return err
	}
	u.failingSince = time.Time{}
	a.say(u, r, vm.Running, "", "")
	return nil
}

// noteRan notes that a VM's disk is worth keeping.
func (a *Agent) noteRan(r record.Record) error {
	if r.HasData() {
		return nil
	}
	if err := a.State.Note(r.VM.ID, func(l *record.Local) { l.Ran = true }); err != nil {
		return err
	}
	return fault.Point("agent.run_noted")
}

// say states a VM's phase to the chain, with proofs if it is up.
func (a *Agent) say(u *vmState, r record.Record, phase vm.Phase, reason, message string) {
	said := reportOf(u, r, phase, reason, message)
	var proofs report.Proofs
	if phase == vm.Running {
		proofs = func(after int64) (*guestchannel.Proof, bool) { return u.nextProof(r.VM.Status, after) }
		if size := r.VM.Resize; size != nil && said.SizeGeneration >= size.Generation {
			// Its price is charged from this proof on: none from before will do.
			proofs = func(int64) (*guestchannel.Proof, bool) { return u.sizeProof(), false }
		}
	}
	a.reporter.Say(said, proofs)
}

// reportOf a VM, without a proof.
func reportOf(u *vmState, r record.Record, phase vm.Phase, reason, message string) vm.Report {
	d := r.Desired()
	return vm.Report{
		ID: r.VM.ID, InstanceSeq: d.Seq, ObservedGeneration: d.Generation, Phase: phase, Reason: reason, Message: message,
		ObservedRebootSeq: min(max(r.Local.Rebooted, r.VM.Status.ObservedRebootSeq), d.RebootSeq),
		SizeGeneration:    min(u.sized, d.Generation),
	}
}

// reportFailure is what becomes of an error: it is reported with the phase the VM is
// in, and returned so that the step is tried again; a VM without data that
// cannot be brought up here is given back. An interruption is only returned.
func (a *Agent) reportFailure(ctx context.Context, u *vmState, r record.Record, err error) error {
	if ctx.Err() != nil {
		return err // whatever it says
	}
	f := diagnose(err)
	d := r.Desired()
	if u.failingSince.IsZero() {
		u.failingSince = time.Now()
	}
	if f.reason != ReasonSecrets {
		u.lockedSince = time.Time{}
	} else if u.lockedSince.IsZero() {
		u.lockedSince = time.Now()
	}
	switch d.Direction() {
	case step.Up:
		tooLong := !f.transient && time.Since(u.failingSince) > a.c.GiveUp ||
			f.reason == ReasonSecrets && time.Since(u.lockedSince) > a.c.SecretsGiveUp // else who deals what cannot be opened holds room
		if !r.HasData() && (f.permanent || tooLong) {
			return a.giveBack(ctx, u, r, f)
		}
		a.say(u, r, a.phaseNow(r), f.reason, f.message)
	case step.Down:
		if d.Phase == vm.Stopping {
			a.say(u, r, vm.Stopping, f.reason, f.message)
		}
	case step.Away:
		if d.Phase == vm.Terminating && !d.Released {
			a.say(u, r, vm.Failed, f.reason, f.message) // it stays Terminating, and says why
		}
	case step.Stay:
	}
	return err
}

// phaseNow is the phase that a failure is told with: what was last said, as the
// chain may not have answered yet, and a failure alone is no step back.
func (a *Agent) phaseNow(r record.Record) vm.Phase {
	d := r.Desired()
	if last, ok := a.reporter.Last(r.VM.ID); ok && last.InstanceSeq == d.Seq && last.ObservedGeneration == d.Generation {
		switch last.Phase { //nolint:exhaustive // the others lead elsewhere
		case vm.Provisioning, vm.Running, vm.Rebooting:
			return last.Phase
		}
	}
	return upPhase(d.Phase)
}

// upPhase is the phase to report with a failure on the way up.
func upPhase(p vm.Phase) vm.Phase {
	switch p { //nolint:exhaustive // the others are reported as they are
	case vm.Assigned:
		return vm.Provisioning
	case vm.Lost:
		return vm.Running
	default:
		return p
	}
}

// giveBack a VM without data: all of it is removed here, then said.
func (a *Agent) giveBack(ctx context.Context, u *vmState, r record.Record, f failure) error {
	if err := a.dismantle(ctx, u, r.VM.ID); err != nil {
		return errors.Join(errors.New(f.message), err)
	}
	a.Log.Warn("VM failed", "vm_id", r.VM.ID, "reason", f.reason, "message", f.message)
	a.say(u, r, vm.Failed, f.reason, f.message)
	u.failed = failedAttempt{r.Desired().Seq, r.Desired().Generation}
	return nil
}
