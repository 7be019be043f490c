package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/hypervisor"
)

// refit grows the disk of a machine that does not run to what is wanted of it,
// and remembers what it is to be. A disk that has grown already is left alone.
func (a *Agent) refit(ctx context.Context, r record, b built, key hypervisor.DiskKey) error {
	old := r.local.Built
	if old == nil || *old == b && !r.outdated() {
		return nil
	}
	if b.DiskBytes > old.DiskBytes {
		if err := a.Driver.ResizeDisk(ctx, r.vm.ID, b.DiskBytes, key); err != nil {
			return err
		}
		if err := fault.Point("agent.grown"); err != nil {
			return err
		}
	}
	if err := a.State.note(r.vm.ID, func(l *local) { l.Built, l.DiskSeq = &b, r.diskSeq() }); err != nil {
		return err
	}
	return fault.Point("agent.refitted")
}

// grow lets the disk of a running machine grow; the guest's agent lets the
// filesystem follow. The hypervisor has the key of a disk that it has open.
func (a *Agent) grow(ctx context.Context, u *unit, r record) error {
	if r.local.Built == nil {
		return fmt.Errorf("%w: it is not known what the machine was made from", errDisk)
	}
	b := r.local.Built.sized(r.vm.WantedSize())
	if err := a.refit(ctx, r, b, nil); err != nil {
		return err
	}
	generation := r.want().generation
	if err := a.State.note(r.vm.ID, func(l *local) { l.Sized = generation }); err != nil {
		return err
	}
	if err := fault.Point("agent.growth_noted"); err != nil {
		return err
	}
	u.sized = generation
	u.grew(a.headHeight())
	a.Log.Info("disk has grown", "vm_id", r.vm.ID, "bytes", b.DiskBytes, "generation", generation)
	a.say(u, r, vm.Running, "", "")
	return nil
}

// errRebuild says that a disk is not to be given up after all.
var errRebuild = errors.New("not every endpoint of the chain says that the VM is to be rebuilt")

// rebuild removes all that is here of a VM's earlier life, if every endpoint
// says so; its disk stays in the trash for a while. What follows is a start
// like the first one.
func (a *Agent) rebuild(ctx context.Context, u *unit, r record) error {
	id := r.vm.ID
	all, err := a.Chain.Everywhere(ctx, id)
	if err != nil {
		return fmt.Errorf("rebuild VM %s: %w", id, err)
	}
	if len(all) == 0 {
		return fmt.Errorf("rebuild VM %s: %w", id, errRebuild)
	}
	for _, v := range all {
		if v.ID == "" || v.Status.RebuildInstance < r.want().rebuilt {
			return fmt.Errorf("rebuild VM %s: %w", id, errRebuild)
		}
	}
	if err := fault.Point("agent.rebuilding"); err != nil {
		return err
	}
	a.Log.Info("VM is rebuilt", "vm_id", id, "image", r.vm.Spec.Image, "instance_seq", r.want().seq)
	return a.dismantle(ctx, u, id)
}
