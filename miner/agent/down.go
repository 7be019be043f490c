package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/hypervisor"
)

// shutDown asks the guest to power off, and cuts it off if it does not.
func (a *Agent) shutDown(ctx context.Context, u *unit, r record) error {
	manner, err := a.Driver.Shutdown(ctx, r.vm.ID, a.c.StopTimeout)
	if err != nil {
		return err
	}
	u.closeChannel()
	a.Log.Info("machine shut down", "vm_id", r.vm.ID, "manner", string(manner))
	return fault.Point("agent.stopped")
}

// cut ends a machine that runs under an earlier instance's identity: the chain
// gave that up, and its certificates are revoked.
func (a *Agent) cut(ctx context.Context, u *unit, r record) error {
	a.Log.Info("machine runs an earlier instance", "vm_id", r.vm.ID)
	u.closeChannel()
	if _, err := a.Driver.Shutdown(ctx, r.vm.ID, 0); err != nil {
		return err
	}
	return fault.Point("agent.cut")
}

// rest leaves nothing of a VM that is off but its disk and its definition.
func (a *Agent) rest(ctx context.Context, u *unit, r record) error {
	if u.resting {
		return nil
	}
	id := r.vm.ID
	u.closeChannel()
	if err := a.Network.Detach(ctx, id); err != nil {
		return stage(errNetwork, err)
	}
	if err := fault.Point("agent.detached"); err != nil {
		return err
	}
	if err := a.Seeds.Remove(id); err != nil {
		return err
	}
	if err := fault.Point("agent.unseeded"); err != nil {
		return err
	}
	u.mu.Lock()
	clear(u.bundles)
	u.mu.Unlock()
	u.resting, u.adopted = true, false
	return nil
}

func (a *Agent) stopped(ctx context.Context, u *unit, r record, reason, message string) error {
	if err := a.rest(ctx, u, r); err != nil {
		return err
	}
	a.say(u, r, vm.Stopped, reason, message)
	return nil
}

// whyDown keeps the cause of a stop that the chain knows: the tenant's wish, the
// credit, the guest. What troubled this agent on the way is over.
func whyDown(r record) (reason, message string) {
	s := r.vm.Status
	switch s.Reason {
	case vm.ReasonTenant, vm.ReasonCreditRunOut, vm.ReasonGuestShutdown, vm.ReasonForced:
		return s.Reason, s.Message
	default:
		return "", ""
	}
}

// howDown is whyDown of a machine that is off. One that had to be cut off may
// have lost what its guest had not written yet: the tenant is told.
func (a *Agent) howDown(r record, info hypervisor.Info) (reason, message string) {
	reason, message = whyDown(r)
	if info.StopReason != hypervisor.StopForced || info.InstanceSeq != r.vm.Status.InstanceSeq || reason == vm.ReasonForced {
		return reason, message
	}
	forced := fmt.Sprintf("the guest did not power off within %s of being asked and was cut off", a.c.StopTimeout)
	if reason == vm.ReasonCreditRunOut {
		return reason, forced
	}
	return vm.ReasonForced, forced
}

// errHeld says that a VM is not to be destroyed after all.
var errHeld = errors.New("not every endpoint of the chain says that this miner is to let go of the VM")

// destroy removes a VM that this miner is to let go of, if every endpoint says
// so; its disk stays in the trash for a while.
func (a *Agent) destroy(ctx context.Context, u *unit, r record, info hypervisor.Info) error {
	id := r.vm.ID
	w := r.want()
	known := hypervisor.Info{InstanceSeq: max(info.InstanceSeq, w.seq), Generation: max(info.Generation, w.generation)}
	if err := a.confirm(ctx, id, known); err != nil {
		return fmt.Errorf("let go of VM %s: %w", id, err)
	}
	if err := fault.Point("agent.confirmed"); err != nil {
		return err
	}
	if err := a.dismantle(ctx, u, id); err != nil {
		return err
	}
	if w.phase == vm.Terminating && !w.released {
		a.say(u, r, vm.Terminated, "", "")
		return nil // forgotten when the chain has taken it
	}
	a.Log.Info("let go of VM", "vm_id", id, "phase", w.phase.String(), "released", w.released)
	a.reporter.Forget(id)
	a.dropUnit(id)
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
func (a *Agent) dismantle(ctx context.Context, u *unit, id vm.ID) error {
	u.closeChannel()
	if err := a.Driver.Destroy(ctx, id); err != nil {
		return err
	}
	if err := fault.Point("agent.destroyed"); err != nil {
		return err
	}
	u.mu.Lock()
	clear(u.bundles)
	u.mu.Unlock()
	if err := a.Network.Detach(ctx, id); err != nil {
		return stage(errNetwork, err)
	}
	if err := fault.Point("agent.cleared_network"); err != nil {
		return err
	}
	if err := a.Seeds.Remove(id); err != nil {
		return err
	}
	if err := fault.Point("agent.cleared_seed"); err != nil {
		return err
	}
	a.discharge(id)
	err := a.State.note(id, func(l *local) { l.DiskSeq, l.Built, l.Started, l.Ran = 0, nil, 0, false })
	if err != nil {
		return err
	}
	return fault.Point("agent.cleared")
}

// forget a VM of which nothing is left here.
func (a *Agent) forget(id vm.ID) error {
	if err := a.State.forget(id); err != nil {
		return err
	}
	return fault.Point("agent.forgotten")
}
