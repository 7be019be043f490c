package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/record"
)

// grow lets the disk of a running VM grow; the guest's agent lets the
// filesystem follow. The hypervisor has the key of a disk that it has open.
func (a *Agent) grow(ctx context.Context, u *vmState, r record.Record) error {
	n := a.needs(u, r)
	if n.Made == nil {
		return fmt.Errorf("%w: it is not known what the VM was made from", errDisk)
	}
	n.Built = n.Made.Sized(r.VM.WantedSize())
	if err := a.provisioner.Verify(ctx, n); err != nil {
		return err
	}
	generation := r.Desired().Generation
	if err := a.State.Note(r.VM.ID, func(l *record.Local) { l.Sized = generation }); err != nil {
		return err
	}
	if err := fault.Point("agent.growth_noted"); err != nil {
		return err
	}
	u.sized = generation
	u.grew(a.headHeight())
	a.Log.Info("disk grown", "vm_id", r.VM.ID, "bytes", n.Built.DiskBytes, "generation", generation)
	a.say(u, r, vm.Running, "", "")
	return nil
}

// errRebuild says that a disk is not to be given up after all.
var errRebuild = errors.New("not every endpoint of the chain says that the VM is to be rebuilt")

// rebuild removes all that is here of a VM's earlier life, if every endpoint
// says so; its disk stays in the trash for a while. What follows is a start
// like the first one.
func (a *Agent) rebuild(ctx context.Context, u *vmState, r record.Record) error {
	id := r.VM.ID
	all, err := a.Chain.Everywhere(ctx, id)
	if err != nil {
		return fmt.Errorf("rebuild VM %s: %w", id, err)
	}
	if len(all) == 0 {
		return fmt.Errorf("rebuild VM %s: %w", id, errRebuild)
	}
	for _, v := range all {
		if v.ID == "" || v.Status.RebuildInstance < r.Desired().Rebuilt {
			return fmt.Errorf("rebuild VM %s: %w", id, errRebuild)
		}
	}
	if err := fault.Point("agent.rebuilding"); err != nil {
		return err
	}
	a.Log.Info("VM is rebuilt", "vm_id", id, "image", r.VM.Spec.Image, "instance_seq", r.Desired().Seq)
	return a.dismantle(ctx, u, id)
}
