package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/internal/reconcile"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/record"
)

// shutDown asks the guest to power off, and forces it off if it does not.
func (a *Agent) shutDown(ctx context.Context, u *vmState, r record.Record) error {
	var manner hypervisor.Manner
	err := reconcile.Aside(ctx, func() (err error) {
		manner, err = a.Driver.Shutdown(ctx, r.VM.ID, a.c.StopTimeout)
		return err
	})
	if err != nil {
		return err
	}
	u.closeChannel()
	a.Log.Info("VM shut down", "vm_id", r.VM.ID, "manner", string(manner))
	return fault.Point("agent.stopped")
}

// replace ends a VM that runs under an earlier instance's identity: the chain
// gave that up, and its certificates are revoked.
func (a *Agent) replace(ctx context.Context, u *vmState, r record.Record) error {
	a.Log.Info("VM runs an earlier instance", "vm_id", r.VM.ID)
	u.closeChannel()
	return a.provisioner.Cut(ctx, r.VM.ID)
}

// rest leaves nothing of a VM that is off but its disk and its definition.
func (a *Agent) rest(ctx context.Context, u *vmState, r record.Record) error {
	u.closeChannel()
	if err := a.provisioner.Down(ctx, r.VM.ID); err != nil {
		return err
	}
	u.bundles.Clear()
	return nil
}

// stopped leaves a VM off, and says so for as long as its disk is kept here, which is charged. Without its disk it has failed.
func (a *Agent) stopped(ctx context.Context, u *vmState, r record.Record, reason, message string) error {
	if err := a.rest(ctx, u, r); err != nil {
		return err
	}
	switch missing, err := a.diskMissing(ctx, r); {
	case err != nil:
		return err
	case missing:
		a.sayDiskMissing(u, r)
	default:
		a.say(u, r, vm.Stopped, reason, message)
	}
	return nil
}

// guestStopped reports a VM that shut itself down. If the chain has not heard that it ran, it is told so first, with the guest's proof,
// or without one on this host's word: else it takes the VM for one that never came up, and has it run again elsewhere.
func (a *Agent) guestStopped(ctx context.Context, u *vmState, r record.Record) error {
	const reason, message = vm.ReasonGuestShutdown, "the guest shut itself down"
	proof := u.unheard(r.VM.Status)
	if r.VM.Status.HasData || proof == nil && r.VM.Spec.Agent != vm.AgentNone {
		return a.stopped(ctx, u, r, reason, message)
	}
	if err := a.noteRan(r); err != nil {
		return err
	}
	if err := a.rest(ctx, u, r); err != nil {
		return err
	}
	a.reporter.SayAfter(reportOf(u, r, vm.Running, "", ""), proof, reportOf(u, r, vm.Stopped, reason, message))
	return nil
}

// diskMissing tells whether the disk of a VM with data is not here. One without data may have none yet.
func (a *Agent) diskMissing(ctx context.Context, r record.Record) (bool, error) {
	if !r.HasData() {
		return false, nil
	}
	has, err := a.Driver.HasDisk(ctx, hypervisor.Root(r.VM.ID))
	return err == nil && !has, err
}

func (a *Agent) sayDiskMissing(u *vmState, r record.Record) {
	a.say(u, r, vm.Failed, ReasonDiskMissing, "the VM's disk is not on this host")
}

// failed leaves a VM off that failed, and says so for as long as its disk is kept here, which is charged. The reason is the one that the
// chain has, unless the disk is missing, or was and is back: then the VM is off as any other.
func (a *Agent) failed(ctx context.Context, u *vmState, r record.Record) error {
	if err := a.rest(ctx, u, r); err != nil {
		return err
	}
	s := r.VM.Status
	missing, err := a.diskMissing(ctx, r)
	switch {
	case err != nil:
		return err
	case missing:
		a.sayDiskMissing(u, r)
		return nil
	case s.Reason == ReasonDiskMissing && !r.VM.Spec.On:
		a.say(u, r, vm.Stopped, "", "") // it is back
		return nil
	}
	if s.Message = ""; s.Explain() == r.VM.Status.Message {
		a.say(u, r, vm.Failed, s.Reason, "") // the chain's own reasons are put into words by whoever reads them
		return nil
	}
	a.say(u, r, vm.Failed, s.Reason, r.VM.Status.Message)
	return nil
}

// whyDown repeats the cause of a stop that was seen here. That of an order is the chain's, and stays: it may have changed meanwhile. What
// failed on the way is over.
func whyDown(r record.Record) (reason, message string) {
	s := r.VM.Status
	switch s.Reason {
	case vm.ReasonGuestShutdown, vm.ReasonForced:
		return s.Reason, s.Message
	default:
		return "", ""
	}
}

// howDown is whyDown of a VM that is off. One that had to be forced off may
// have lost what its guest had not written yet: the tenant is told.
func (a *Agent) howDown(r record.Record, info hypervisor.Info) (reason, message string) {
	reason, message = whyDown(r)
	if info.StopReason != hypervisor.StopForced || info.InstanceSeq != r.VM.Status.InstanceSeq || reason == vm.ReasonForced {
		return reason, message
	}
	forced := fmt.Sprintf("the guest did not power off within %s of being asked and was forced off", a.c.StopTimeout)
	if r.VM.Status.Reason == vm.ReasonCreditRunOut {
		return "", forced
	}
	return vm.ReasonForced, forced
}

// errHeld says that a VM is not to be destroyed after all.
var errHeld = errors.New("not every endpoint of the chain says that this miner no longer holds the VM")

// destroy removes a VM that this miner is to let go of, if it may; its disk stays in the trash for a while.
func (a *Agent) destroy(ctx context.Context, u *vmState, r record.Record, info hypervisor.Info) error {
	id := r.VM.ID
	d := r.Desired()
	known := hypervisor.Info{InstanceSeq: max(info.InstanceSeq, d.Seq), Generation: max(info.Generation, d.Generation)}
	if err := a.mayRemove(ctx, id, known); err != nil {
		return fmt.Errorf("release VM %s: %w", id, err)
	}
	if err := fault.Point("agent.confirmed"); err != nil {
		return err
	}
	if err := a.dismantle(ctx, u, id); err != nil {
		return err
	}
	if d.Phase == vm.Terminating && !d.Released {
		a.say(u, r, vm.Terminated, "", "")
		return nil // forgotten when the chain has taken it
	}
	a.Log.Info("VM released", "vm_id", id, "phase", d.Phase.String(), "released", d.Released)
	a.reporter.Forget(id)
	a.forgetVM(id)
	return a.forget(id)
}

// confirm asks every endpoint whether this miner is to let go of a VM. One that tells of an older generation or
// instance than is known here is behind, as a node restored from a copy, and its word is of the past.
func (a *Agent) confirm(ctx context.Context, id vm.ID, known hypervisor.Info) error {
	all, err := a.Chain.Everywhere(ctx, id)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errHeld
	}
	for _, v := range all {
		if v.ID == "" || a.holds(v) || v.Generation < known.Generation || v.Status.InstanceSeq < known.InstanceSeq {
			return errHeld
		}
	}
	return nil
}

// holds tells whether a VM is to be kept here.
func (a *Agent) holds(v vm.VM) bool {
	switch v.Status.Phase { //nolint:exhaustive // in the other phases the holder decides
	case vm.Terminating, vm.Terminated:
		return false
	default:
		return v.Status.Miner == a.c.Miner
	}
}

// dismantle removes all that is here of a VM.
func (a *Agent) dismantle(ctx context.Context, u *vmState, id vm.ID) error {
	u.closeChannel()
	if err := a.provisioner.Remove(ctx, id); err != nil {
		return err
	}
	u.bundles.Clear()
	a.discharge(id)
	err := a.State.Note(id, func(l *record.Local) { l.DiskSeq, l.Built, l.Started, l.Ran = 0, nil, 0, false })
	if err != nil {
		return err
	}
	return fault.Point("agent.cleared")
}

// forget a VM of which nothing is left here.
func (a *Agent) forget(id vm.ID) error {
	if err := a.State.Forget(id); err != nil {
		return err
	}
	if err := fault.Point("agent.forgotten"); err != nil {
		return err
	}
	return a.Orders.Done(id)
}
