package keeper

import (
	"context"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// While the chain halts nobody can report. So a deadline of which a halt took half or more begins anew when the halt ends, once: a miner
// always has half of its time, and slower blocks do not hold off a deadline of days.

// noteHalt remembers a halt that ends with this block, given the time of the block before. Of the earlier ones only those that took
// longer are asked for again, for as long as a deadline that they moved may last; of too many the earliest makes room.
func (k *Keeper) noteHalt(ctx context.Context, last int64) error {
	length := now(ctx) - last
	if last == 0 || length < types.MinHaltSeconds {
		return nil
	}
	all, err := k.allHalts(ctx)
	if err != nil {
		return err
	}
	kept := 1
	for _, h := range all { // the shortest and latest first
		if h.Seconds > length && now(ctx) <= h.EndedAt+2*h.Seconds && kept < types.MaxHalts {
			kept++
			continue
		}
		if err := k.halts.Remove(ctx, h.Seconds); err != nil {
			return err
		}
	}
	return k.halts.Set(ctx, length, now(ctx))
}

// resumed is when the latest halt ended that took half of a time or more; 0 without one.
func (k *Keeper) resumed(ctx context.Context, seconds int64) (end int64, err error) {
	err = k.halts.Walk(ctx, new(collections.Range[int64]).StartInclusive((seconds+1)/2), func(_, at int64) (bool, error) {
		end = at
		return true, nil
	})
	return end, err
}

// afterHalt is the deadline of a VM, given the one that it has, if it begins anew with the end of a halt; else one that has passed. It
// does once, so that slow blocks hold nothing off for ever. Of a VM that was stalled and is started it is the one of its start.
func (k *Keeper) afterHalt(ctx context.Context, p types.Params, v *types.VM) (int64, error) {
	var seconds int64
	from := v.Status.PhaseSince
	switch phase := v.Status.Phase.Core(); {
	case stalled(v):
		seconds = int64(p.SilenceSeconds)
		from = v.Status.Deadline - seconds
	case phase == vm.Assigned:
		seconds = int64(p.ProvisionTimeoutSeconds)
	case phase == vm.Provisioning, !v.Status.HasData && (phase == vm.Running || phase == vm.Rebooting):
		seconds, from = p.BootTimeout(v.Core().WantedSize().DiskGiB), v.Status.BegunAt
	case phase == vm.Terminating:
		seconds = int64(p.ReleaseSeconds)
	default: // it waits for nobody, or for its host, which is looked at
		return 0, nil
	}
	if v.Status.Deadline > from+seconds {
		return 0, nil
	}
	end, err := k.resumed(ctx, seconds)
	return max(end, from) + seconds, err
}

func (k *Keeper) allHalts(ctx context.Context) (all []types.Halt, err error) {
	err = k.halts.Walk(ctx, nil, func(seconds, at int64) (bool, error) {
		all = append(all, types.Halt{Seconds: seconds, EndedAt: at})
		return false, nil
	})
	return all, err
}
