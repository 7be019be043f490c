package agent

import (
	"context"
	"slices"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/record"
)

// keepRoom has the trash give way to disks that grow.
func (a *Agent) keepRoom(ctx context.Context) error {
	for sleep(ctx, a.c.RoomEvery) {
		a.makeRoom(ctx, nil, 0)
	}
	return nil
}

// makeRoom has the trash give way to what the disks here may still grow by, and to the disk of so many bytes that is to be made for a
// VM, if one is. What goes wrong is logged: the disk is made all the same, if there is room for it.
func (a *Agent) makeRoom(ctx context.Context, r *record.Record, bytes uint64) {
	if err := a.tryMakeRoom(ctx, r, bytes); err != nil && ctx.Err() == nil {
		a.Log.Warn("make room for disks", "error", err)
	}
}

func (a *Agent) tryMakeRoom(ctx context.Context, r *record.Record, bytes uint64) error {
	space, err := a.Driver.Space(ctx)
	if err != nil || len(space.Trash) == 0 {
		return err
	}
	records, err := a.State.All()
	if err != nil {
		return err
	}
	owners, err := a.State.Owners()
	if err != nil {
		return err
	}
	want := hypervisor.Want{Bytes: bytes, OwnerOf: func(id vm.ID) string { return owners[id] }}
	if r != nil {
		want.Owner = r.VM.Owner
	}
	for _, other := range records {
		if b := other.Local.Built; b != nil {
			want.Bytes += b.DiskBytes
		}
	}
	for _, t := range space.GiveWay(want, a.keepingTime()) {
		if err := a.Driver.Discard(ctx, t); err != nil {
			return err
		}
		a.Log.Info("disk in the trash deleted for want of room", "vm_id", t.VM, "bytes", t.Bytes)
	}
	return nil
}

// tidyTrash deletes what was kept for long enough, and forgets who owned what is not there any more.
func (a *Agent) tidyTrash(ctx context.Context, before time.Time) error {
	swept, err := hypervisor.Sweep(ctx, a.Driver, before)
	if swept > 0 {
		a.Log.Info("trash swept", "disks", swept)
	}
	if err != nil {
		return err
	}
	forgotten, err := a.State.Forgotten() // before the trash is looked at: what is forgotten meanwhile lies in it
	if err != nil {
		return err
	}
	space, err := a.Driver.Space(ctx)
	if err != nil {
		return err
	}
	return a.State.TrashEmptied(slices.DeleteFunc(forgotten, func(id vm.ID) bool {
		return slices.ContainsFunc(space.Trash, func(t hypervisor.Trashed) bool { return t.VM == id })
	}))
}
