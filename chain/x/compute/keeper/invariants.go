package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
)

// CheckInvariants says which invariant of the module is violated, if any. For every VM:
// its record is well formed; it waits in the queue only while Pending; its
// name, address, miner and deadline are in their indexes, and nothing else is;
// power and phase agree. For every miner: its usage is what its VMs take. For
// every account with VMs: it pays what they cost. For
// every committee: it is kept for the instances of VMs not terminated.
// True between blocks; it reads every VM.
func (k *Keeper) CheckInvariants(ctx context.Context) error {
	usage, trials := map[string]node.Usage{}, map[string]uint32{}
	var want counts
	keyUse, rates := map[string]uint32{}, map[string]uint64{}
	dealt := map[uint64]uint64{}
	err := k.vms.Walk(ctx, nil, func(_ string, v types.VM) (bool, error) {
		var err error
		if v.Instances, err = k.instancesOf(ctx, v.Id, types.MaxInstanceSeq); err != nil {
			return true, err
		}
		if v.Status.Attestation, err = k.attestation(ctx, v.Id); err != nil {
			return true, err
		}
		if err := v.Validate(); err != nil {
			return true, err
		}
		if v.Status.ReadyAt != 0 {
			want.ready++
		}
		if v.Status.Miner == "" && v.Status.Attestation.Core().Usage.Owed() > 0 {
			return true, fmt.Errorf("VM %s is held by nobody, yet units are owed for it", v.Id)
		}
		if err := k.checkIndexes(ctx, &v, &want); err != nil {
			return true, fmt.Errorf("VM %s, %s: %w", v.Id, v.Status.Phase.Core(), err)
		}
		if m := v.Status.Miner; m != "" {
			if usage[m], err = usage[m].Add(v.Core().Holds()); err != nil {
				return true, err
			}
			if tries(&v) != "" {
				trials[m]++
			}
		}
		rates[v.Owner] += v.Core().Rate()
		if !v.Ended() {
			for _, name := range v.Spec.SshKeys {
				keyUse[v.Owner+"/"+name]++
			}
		}
		if v.Status.Phase.Core() != vm.Terminated {
			for _, d := range byEpoch(v.Instances) {
				dealt[d.epoch] += d.instances
				if n, err := k.dealt.Get(ctx, collections.Join(v.Id, d.epoch)); err != nil || n != d.instances {
					return true, fmt.Errorf("VM %s has %d instances of committee %d, and %d are counted: %w", v.Id, d.instances, d.epoch, n, orMissing(err))
				}
				want.dealt++
			}
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	for miner, u := range usage {
		m, err := k.offers.Miner(ctx, miner)
		if err != nil {
			return err
		}
		if m.Usage.Node() != u {
			return fmt.Errorf("miner %s is used %+v, but its VMs take %+v", miner, m.Usage.Node(), u)
		}
		if m.Record.Trials != trials[miner] {
			return fmt.Errorf("%d VMs are on trial on miner %s, but %d are counted", trials[miner], miner, m.Record.Trials)
		}
	}
	for owner, rate := range rates {
		if pays, err := k.meters.Rate(ctx, owner); err != nil || pays != rate {
			return fmt.Errorf("%s pays %d ucredit an hour, but its VMs cost %d: %w", owner, pays, rate, orMissing(err))
		}
	}
	for epoch, n := range dealt {
		if kept, err := k.registry.LiveInstances(ctx, epoch); err != nil || kept != n {
			return fmt.Errorf("committee %d is kept for %d instances; %d were dealt to it: %w", epoch, kept, n, orMissing(err))
		}
	}
	err = k.keys.Walk(ctx, nil, func(_ ownerKey, s types.SSHKey) (bool, error) {
		if n := keyUse[s.Owner+"/"+s.Name]; n != s.UsedBy {
			return true, fmt.Errorf("SSH key %s of %s is used by %d VMs, not %d", s.Name, s.Owner, n, s.UsedBy)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	return k.checkCounts(ctx, want)
}

// counts of the entries that indexes must have.
type counts struct{ live, names, held, deadlines, queued, ready, dealt int }

func (k *Keeper) checkIndexes(ctx context.Context, v *types.VM, want *counts) error {
	p := v.Status.Phase.Core()
	key := collections.Join(v.Owner, v.Id)
	if has, err := k.owners.Has(ctx, key); err != nil || !has {
		return fmt.Errorf("in no owner's index, %w", orMissing(err))
	}
	if p == vm.Terminated {
		return nil
	}
	want.live++
	if has, err := k.live.Has(ctx, key); err != nil || !has {
		return fmt.Errorf("in no index of the living, %w", orMissing(err))
	}
	if !v.Ended() {
		want.names++
		if id, err := k.names.Get(ctx, collections.Join(v.Owner, v.Spec.Name)); err != nil || id != v.Id {
			return fmt.Errorf("name %s leads to %q, %w", v.Spec.Name, id, orMissing(err))
		}
	}
	if v.Status.Miner != "" {
		want.held++
		if has, err := k.miners.Has(ctx, collections.Join3(v.Status.Miner, v.ChangedHeight, v.Id)); err != nil || !has {
			return fmt.Errorf("in no miner's index, %w", orMissing(err))
		}
	}
	if v.Status.Deadline != 0 {
		want.deadlines++
		if has, err := k.deadlines.Has(ctx, collections.Join(v.Status.Deadline, v.Id)); err != nil || !has {
			return fmt.Errorf("no deadline is set, %w", orMissing(err))
		}
	}
	_, queued, err := k.position(ctx, v.Id)
	if err != nil {
		return err
	}
	if queued {
		want.queued++
		if p != vm.Pending {
			return errors.New("it waits for a miner")
		}
	}
	on := v.Spec.Power == types.Power_POWER_ON
	if (p.On() || p == vm.Provisioning) && !on || (p == vm.Stopping || p == vm.Stopped) && on {
		return fmt.Errorf("power is %s", v.Spec.Power)
	}
	return nil
}

func (k *Keeper) checkCounts(ctx context.Context, want counts) error {
	var got counts
	for _, walk := range []func() error{
		func() error {
			return k.live.Walk(ctx, nil, func(ownerKey) (bool, error) { got.live++; return false, nil })
		},
		func() error {
			return k.names.Walk(ctx, nil, func(ownerKey, string) (bool, error) { got.names++; return false, nil })
		},
		func() error {
			return k.miners.Walk(ctx, nil, func(minerKey) (bool, error) { got.held++; return false, nil })
		},
		func() error {
			return k.deadlines.Walk(ctx, nil, func(timeKey) (bool, error) { got.deadlines++; return false, nil })
		},
		func() error {
			return k.dealt.Walk(ctx, nil, func(dealtKey, uint64) (bool, error) { got.dealt++; return false, nil })
		},
		func() error {
			return k.queue.Walk(ctx, nil, func(queueKey) (bool, error) { got.queued++; return false, nil })
		},
	} {
		if err := walk(); err != nil {
			return err
		}
	}
	ready, err := records.OrZero(k.ready.Get(ctx))
	if err != nil {
		return err
	}
	got.ready = int(ready)
	if err := k.checkExclusions(ctx); err != nil {
		return err
	}
	if err := k.checkSearches(ctx); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("the indexes have %+v entries; they should have %+v", got, want)
	}
	addresses := 0
	err = k.addresses.Walk(ctx, nil, func(hostKey, string) (bool, error) { addresses++; return false, nil })
	if err == nil && addresses != want.live {
		return fmt.Errorf("%d addresses are taken by %d VMs", addresses, want.live)
	}
	return err
}

// orMissing is an error in any case.
func orMissing(err error) error {
	if err != nil {
		return err
	}
	return collections.ErrNotFound
}
