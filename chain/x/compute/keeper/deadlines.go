package keeper

import (
	"context"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/core/vm"
)

const (
	// maxExpired bounds the deadlines looked at in one block; the rest follows in the next.
	maxExpired = 150
	// failedSeconds until a VM is looked at again for which this failed.
	failedSeconds = 600
	// pruneSeconds after which a tombstone, or a released entry, is forgotten.
	pruneSeconds = 7 * 24 * 3600
	// maxPruned tombstones in one block; and so many more exclusions and released entries than VMs are placed in one, as each VM
	// that is placed may make one of both.
	maxPruned = 50
	// maxForgotten instances of tombstones in one block.
	maxForgotten = 1000
)

// expire acts on deadlines that passed, the earliest first.
func (k *Keeper) expire(ctx context.Context, p types.Params) error {
	due, err := records.Due(ctx, k.deadlines, now(ctx), maxExpired)
	if err != nil {
		return err
	}
	for _, key := range due {
		id := key.K2()
		if k.guarded(ctx, id, func(ctx context.Context) error { return k.expired(ctx, p, id) }) {
			continue
		}
		if err := k.deadlines.Remove(ctx, key); err != nil {
			return err
		}
		if err := k.putOff(ctx, id, key.K1()); err != nil {
			return err
		}
	}
	return nil
}

// putOff has a VM whose step failed looked at again later, if it can be read and due is its deadline: its old one, which has left the
// queue, or 0 for none.
func (k *Keeper) putOff(ctx context.Context, id string, due int64) error {
	v, err := k.vms.Get(ctx, id)
	if err != nil || v.Status.Deadline != due {
		return nil //nolint:nilerr // the failure was noted
	}
	v.Status.Deadline = now(ctx) + failedSeconds
	if err := k.deadlines.Set(ctx, collections.Join(v.Status.Deadline, id)); err != nil {
		return err
	}
	return k.vms.Set(ctx, id, v)
}

func (k *Keeper) expired(ctx context.Context, p types.Params, id string) error {
	v, err := k.VM(ctx, id)
	if err != nil {
		return err
	}
	old := v
	if v.Status.Deadline, err = k.afterHalt(ctx, p, &v); err != nil {
		return err
	}
	if v.Status.Deadline > now(ctx) {
		return k.save(ctx, &old, v)
	}
	v.Status.Deadline = 0
	switch v.Status.Phase.Core() { //nolint:exhaustive // other phases have no deadline
	case vm.Assigned:
		return k.unassign(ctx, p, &old, v)
	case vm.Provisioning:
		return k.timedOut(ctx, p, &old, v, vm.ReasonBootTimeout)
	case vm.Running, vm.Rebooting, vm.Stopping, vm.Stopped, vm.Failed:
		if !v.Status.HasData { // else its silence is counted, or its disk paid for
			return k.timedOut(ctx, p, &old, v, vm.ReasonNoProof)
		}
		return k.hostGone(ctx, p, &old, v)
	case vm.Terminating:
		return k.letGo(ctx, &old, v)
	case vm.Pending:
		if v.Status.Reason == vm.ReasonRetryWait {
			v.Status.Excluded, v.Status.Retrying = nil, true
		}
		if err := k.enqueue(ctx, id, ready); err != nil {
			return err
		}
	}
	return k.save(ctx, &old, v)
}

// setDeadline of a VM that comes to a phase. From a start until its guest proves itself, what its miner reports holds nothing off.
// Afterwards its host is looked at now and then.
func (k *Keeper) setDeadline(ctx context.Context, v *types.VM, to vm.Phase) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	switch to { //nolint:exhaustive // the others have none
	case vm.Provisioning:
		v.Status.Deadline = v.Status.BegunAt + p.BootTimeout(v.Core().WantedSize().DiskGiB)
	case vm.Running, vm.Rebooting:
	case vm.Stopping, vm.Stopped, vm.Failed:
		if v.Status.HasData && v.Status.Miner != "" {
			v.Status.Deadline = now(ctx) + int64(p.HostGoneSeconds)
		} else if to == vm.Failed {
			v.Status.Deadline = 0
		}
	case vm.Terminating:
		v.Status.Deadline = now(ctx) + int64(p.ReleaseSeconds)
	default:
		v.Status.Deadline = 0
	}
	return nil
}

// stalled reports whether the miner of a VM without data says why it cannot start it: meanwhile it holds the room of one that runs, and
// pays nothing.
func stalled(v *types.VM) bool {
	return v.Status.Phase.Core() == vm.Provisioning && !v.Status.HasData && vm.Stalls(v.Status.Reason)
}

// hurry gives a VM that is stalled from now on silence_seconds to be started, within its time to boot. If it is started, it has all of
// that again (see afterHalt).
func hurry(ctx context.Context, p types.Params, v *types.VM) {
	boot := max(v.Status.Deadline, v.Status.BegunAt+p.BootTimeout(v.Core().WantedSize().DiskGiB))
	v.Status.Deadline = min(boot, now(ctx)+int64(p.SilenceSeconds))
}

// hostGone takes a VM from a miner that was not seen for too long; its disk is lost. Until then the miner is looked at again.
func (k *Keeper) hostGone(ctx context.Context, p types.Params, old *types.VM, v types.VM) error {
	m, err := k.offers.Miner(ctx, v.Status.Miner)
	if err != nil {
		return err
	}
	end, err := k.resumed(ctx, int64(p.HostGoneSeconds))
	if err != nil {
		return err
	}
	if until := max(m.LastSeen, end) + int64(p.HostGoneSeconds); until > now(ctx) {
		v.Status.Deadline = until
		return k.save(ctx, old, v)
	}
	if err := k.step(ctx, &v, vm.TimeOut, vm.Chain, why{reason: vm.ReasonHostGone}, 0); err != nil {
		return err
	}
	v.Status.Miner, v.Status.Deadline = "", 0
	return k.save(ctx, old, v)
}

// letGo ends a VM whose miner did not confirm in time that it let go of it. It is told so when it asks again.
func (k *Keeper) letGo(ctx context.Context, old *types.VM, v types.VM) error {
	if err := k.step(ctx, &v, vm.Release, vm.Chain, why{v.Status.Reason, v.Status.Message}, 0); err != nil {
		return err
	}
	if err := k.finish(ctx, &v); err != nil {
		return err
	}
	return k.save(ctx, old, v)
}

// timedOut fails a VM that did not prove itself in time. With data it stays where that is, and is off until its tenant starts it:
// what its miner repeats of the start that is over has no effect.
func (k *Keeper) timedOut(ctx context.Context, p types.Params, old *types.VM, v types.VM, reason string) error {
	w := why{reason: reason}
	if v.Status.HasData {
		powerOff(&v)
	} else {
		var err error
		if w, err = k.failAttempt(ctx, p, &v, w); err != nil {
			return err
		}
	}
	if err := k.step(ctx, &v, vm.TimeOut, vm.Chain, w, 0); err != nil {
		return err
	}
	if v.Status.HasData {
		return k.save(ctx, old, v)
	}
	return k.nextMiner(ctx, p, old, v)
}

// unassign takes a VM from a miner that did not begin in time.
func (k *Keeper) unassign(ctx context.Context, p types.Params, old *types.VM, v types.VM) error {
	w, err := k.failAttempt(ctx, p, &v, why{reason: vm.ReasonNotProvisioned})
	if err != nil {
		return err
	}
	if err := k.step(ctx, &v, vm.Unassign, vm.Chain, w, 0); err != nil {
		return err
	}
	v.Status.Miner = ""
	if spent(p, &v) {
		w.reason = vm.ReasonAttempts
		if err := k.step(ctx, &v, vm.GiveUp, vm.Chain, w, 0); err != nil {
			return err
		}
		return k.save(ctx, old, v)
	}
	if err := k.enqueue(ctx, v.Id, ready); err != nil {
		return err
	}
	return k.save(ctx, old, v)
}
