package agent

import (
	"context"
	"fmt"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/internal/reconcile"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/record"
)

// needs of a VM on this host.
func (a *Agent) needs(u *vmState, r record.Record) *provision.Needs {
	return &provision.Needs{
		VM: r.VM, Made: r.Local.Built, Outdated: r.Outdated(), DiskSeq: r.DiskSeq(), HasData: r.HasData(), Bundles: &u.bundles,
		Mesh: func(ctx context.Context) wire.Mesh { return a.meshNow(ctx, r.VM.Owner) },
	}
}

// announce says that provisioning begins: the keepers release secrets only
// then. The image is fetched meanwhile, which is no start: the reason says so until the VM runs.
func (a *Agent) announce(ctx context.Context, u *vmState, r record.Record) error {
	n := a.needs(u, r)
	n.Found = func(here bool) { a.say(u, r, vm.Provisioning, fetching(here), "") }
	var b provision.Built
	err := reconcile.Aside(ctx, func() (err error) {
		b, err = a.provisioner.Plan(ctx, n)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.admit(r, b); err != nil {
		return err
	}
	return fault.Point("agent.planned")
}

// fetching is the reason for which a VM is not started yet while its image is not here.
func fetching(here bool) string {
	if here {
		return ""
	}
	return vm.ReasonFetchingImage
}

// bringUp starts a VM that does not run, making what it lacks.
func (a *Agent) bringUp(ctx context.Context, u *vmState, r record.Record) error {
	n := a.needs(u, r)
	n.Found = func(here bool) {
		phase := upPhase(r.Desired().Phase)
		here = here || phase != vm.Provisioning
		if _, said := a.reporter.Last(r.VM.ID); !said || !here && u.failingSince.IsZero() {
			a.say(u, r, phase, fetching(here), "") // the order was heard
		}
	}
	if err := reconcile.Aside(ctx, func() error { return a.provisioner.Collect(ctx, n) }); err != nil {
		return err
	}
	u.lockedSince = time.Time{}
	if err := a.admit(r, n.Built); err != nil {
		return err
	}
	if err := fault.Point("agent.collected"); err != nil {
		return err
	}
	if r.Local.Built == nil {
		a.makeRoom(ctx, &r, n.Built.DiskBytes)
	}
	if err := a.provisioner.Up(ctx, n); err != nil {
		return err
	}
	return a.started(ctx, u, r, n)
}

// started notes that a generation was started, and listens to its guest.
func (a *Agent) started(ctx context.Context, u *vmState, r record.Record, n *provision.Needs) error {
	d := r.Desired()
	if err := a.State.NoteStarted(r.VM.ID, d); err != nil {
		return err
	}
	if err := fault.Point("agent.start_noted"); err != nil {
		return err
	}
	u.begin() // what an earlier process said is of the past
	// A hypervisor may set up the interface it opens in its own way, as libvirt
	// does: only now does the bandwidth's cap stay.
	if err := a.provisioner.Verify(ctx, n); err != nil {
		a.Log.Error("verify started VM", "vm_id", r.VM.ID, "error", err) // verified again at the next look
	}
	info, err := a.Driver.Inspect(ctx, r.VM.ID)
	if err != nil {
		return err
	}
	a.keepChannel(u, r, info) //nolint:contextcheck // it lasts as long as the VM runs
	a.Log.Info("VM started", "vm_id", r.VM.ID, "instance_seq", d.Seq, "generation", d.Generation)
	if !d.Proofs {
		a.loop.Poke(r.VM.ID)
	}
	return nil
}

// revive starts a VM again whose process died. Without its secrets in
// memory the chain is told first: the keepers release to one that provisions.
func (a *Agent) revive(ctx context.Context, u *vmState, r record.Record, info hypervisor.Info) error {
	a.Log.Warn("VM's process died", "vm_id", r.VM.ID, "state", string(info.State), "stop_reason", string(info.StopReason))
	a.say(u, r, vm.Provisioning, vm.ReasonHostProcessDied, "the VM's process died on the host; it is started again")
	if !u.bundles.Has(r.VM.Status.InstanceSeq) {
		return nil // its phase is Provisioning soon
	}
	return a.bringUp(ctx, u, r)
}

// watch looks after a running VM, at each look: what it needs on this host is
// made right, and its guest is listened to.
func (a *Agent) watch(ctx context.Context, u *vmState, r record.Record, info hypervisor.Info) {
	n := a.needs(u, r)
	if n.Outdated {
		n.Made = nil
	}
	if n.Built = (provision.Built{}).Sized(r.VM.Size); n.Made != nil {
		n.Built = *n.Made
	}
	err := a.provisioner.Verify(ctx, n)
	if err == nil {
		err = fault.Point("agent.adopted")
	}
	if err != nil && ctx.Err() == nil {
		// It runs on: a tap without its rules is down until they are back.
		a.Log.Error("verify running VM", "vm_id", r.VM.ID, "error", err)
	}
	a.keepChannel(u, r, info) //nolint:contextcheck // it lasts as long as the VM runs
}

// await the guest: a VM on its way up is given time, one that was up is
// reported as it was.
func (a *Agent) await(u *vmState, r record.Record) error {
	d := r.Desired()
	if d.Phase == vm.Running || d.Phase == vm.Lost {
		a.say(u, r, vm.Running, "", "")
		return nil
	}
	// Since this agent first saw it: a clock that was set says nothing of how long a guest has had.
	if time.Since(u.listenedFrom()) > a.c.BootTimeout {
		if c := u.getChannel(); c != nil && c.Info().Unsupported != "" {
			return fmt.Errorf("%w: %s", errBoot, c.Info().Unsupported)
		}
		return fmt.Errorf("%w within %s of the VM's start; see its console", errBoot, a.c.BootTimeout)
	}
	last, said := a.reporter.Last(r.VM.ID)
	if said && d.Phase == vm.Provisioning && u.failingSince.IsZero() && last.Reason != vm.ReasonFetchingImage {
		return nil // it was announced, or died: either way it is said, of this generation
	}
	u.failingSince = time.Time{}
	a.say(u, r, d.Phase, "", "")
	return nil
}

// resume lets a paused VM run. One that the host's disk paused may pause
// again at once: that is told, and tried later and later.
func (a *Agent) resume(ctx context.Context, r record.Record, info hypervisor.Info) error {
	if err := a.Driver.Resume(ctx, r.VM.ID); err != nil {
		return err
	}
	if err := fault.Point("agent.resumed"); err != nil {
		return err
	}
	switch info.PauseReason {
	case hypervisor.PauseNoSpace:
		return fmt.Errorf("the VM was paused: %w", hypervisor.ErrNoSpace)
	case hypervisor.PauseIOError:
		return fmt.Errorf("the VM was paused: %w", errDisk)
	case hypervisor.PauseNone, hypervisor.PauseRequested, hypervisor.PauseOther:
	}
	return nil
}

// reboot restarts the guest, and hears it anew.
func (a *Agent) reboot(ctx context.Context, u *vmState, r record.Record) error {
	seq := r.VM.Spec.RebootSeq
	var manner hypervisor.Manner
	err := reconcile.Aside(ctx, func() (err error) {
		manner, err = a.Driver.Reboot(ctx, r.VM.ID, a.c.StopTimeout)
		return err
	})
	if err != nil {
		return err
	}
	a.Log.Info("VM rebooted", "vm_id", r.VM.ID, "manner", string(manner), "reboot_seq", seq)
	if err := fault.Point("agent.rebooted"); err != nil {
		return err
	}
	u.closeChannel()
	if err := a.State.Note(r.VM.ID, func(l *record.Local) { l.Rebooted = seq }); err != nil {
		return err
	}
	return fault.Point("agent.reboot_noted")
}
