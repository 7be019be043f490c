package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/core/vm"
)

// InitGenesis loads the state; the capacity VMs take, their addresses' blocks and
// their meters are in the other modules' genesis, which come first. A chain that
// goes on at the height of its export keeps the queue and the heights; in one
// that begins anew cursors do too: miners take a full listing.
func (k *Keeper) InitGenesis(ctx context.Context, g types.GenesisState) error {
	if err := g.Validate(); err != nil {
		return err
	}
	if err := k.params.Set(ctx, g.Params); err != nil {
		return err
	}
	oldest, goesOn := height(ctx), goesOn(ctx, g) // reads all VMs
	if goesOn {
		oldest = g.OldestHeight
	}
	if err := k.oldestHeight.Set(ctx, oldest); err != nil {
		return err
	}
	for _, key := range g.Keys {
		if err := k.keys.Set(ctx, collections.Join(key.Owner, key.Name), key); err != nil {
			return err
		}
	}
	for _, v := range g.Vms {
		if err := k.load(ctx, v, goesOn, g.QueueSeq == 0); err != nil {
			return types.ErrInvalid.Wrapf("VM %s: %s", v.Id, err)
		}
	}
	for _, e := range g.Exclusions {
		if err := k.putExclusion(ctx, e); err != nil {
			return err
		}
	}
	for _, h := range g.Halts {
		if err := k.halts.Set(ctx, h.Seconds, h.EndedAt); err != nil {
			return err
		}
	}
	if g.SilenceActions > 0 {
		if err := k.silenceActions.Set(ctx, uint64(g.SilenceHour)<<countBits+g.SilenceActions); err != nil {
			return err
		}
	}
	if n := len(g.Heads); n > 0 && !goesOn { // else the first block notes the time since
		if err := k.noteHalt(ctx, g.Heads[n-1].Time); err != nil {
			return err
		}
	}
	return k.loadQueue(ctx, g, goesOn)
}

// goesOn tells whether the genesis is an export that the chain goes on from at the next height.
func goesOn(ctx context.Context, g types.GenesisState) bool {
	newest := g.OldestHeight
	for _, v := range g.Vms {
		newest = max(newest, v.ChangedHeight)
	}
	for _, h := range g.Heads {
		newest = max(newest, h.Height)
	}
	return g.OldestHeight > 0 && newest < height(ctx)
}

// loadQueue puts the order of the VMs that wait and, if the chain goes on, what guests may sign and followers ask for.
func (k *Keeper) loadQueue(ctx context.Context, g types.GenesisState, goesOn bool) error {
	if g.QueueSeq > 0 {
		if err := k.queueSeq.Set(ctx, g.QueueSeq); err != nil {
			return err
		}
	}
	for _, q := range g.Queue {
		if err := errors.Join(k.queue.Set(ctx, collections.Join3(q.Class, q.Seq, q.VmId)), k.queued.Set(ctx, collections.Join3(q.VmId, q.Class, q.Seq))); err != nil {
			return err
		}
	}
	if g.SweepCursor != "" {
		if err := k.sweepCursor.Set(ctx, g.SweepCursor); err != nil {
			return err
		}
	}
	if g.SweepVersion > 0 {
		if err := k.sweepVersion.Set(ctx, g.SweepVersion); err != nil {
			return err
		}
	}
	if g.SweepAgain {
		if err := k.sweepAgain.Set(ctx, true); err != nil {
			return err
		}
	}
	for _, s := range g.Searches {
		if err := k.searches.Set(ctx, s.Class, s); err != nil {
			return err
		}
	}
	if !goesOn {
		return nil
	}
	for _, h := range g.Heads {
		if err := k.heads.Set(ctx, h.Height, h); err != nil {
			return err
		}
	}
	for _, r := range g.ReportRates {
		if err := k.reportRates.Set(ctx, r.Miner, r); err != nil {
			return err
		}
	}
	for _, r := range g.Released {
		if err := errors.Join(k.released.Set(ctx, collections.Join3(r.Miner, r.Height, r.VmId)),
			k.releasedPrune.Set(ctx, collections.Join4(r.At, r.Miner, r.Height, r.VmId))); err != nil {
			return err
		}
	}
	return nil
}

// load puts a VM of the genesis and its indexes, but changes nothing elsewhere. It is queued if the queue is made anew.
func (k *Keeper) load(ctx context.Context, v types.VM, keepHeights, queue bool) error {
	if err := k.putInstances(ctx, v.Id, v.Instances); err != nil {
		return err
	}
	instances := v.Instances
	v.Instances, v.AuthorizedKeys = nil, nil
	v.Status.QueuePlace, v.Status.MinersSearched, v.Status.MinersTotal = 0, 0, 0
	if !keepHeights { // heights begin anew
		v.ChangedHeight, v.Status.Attestation.ProofHeight = height(ctx), 0
	}
	if v.Status.Attestation.Size() == 0 {
		v.Status.Attestation = types.Attestation{} // none has no record; as text it may have empty parts
	}
	if err := k.put(ctx, &types.VM{}, v); err != nil {
		return err
	}
	if err := k.countReady(ctx, &types.VM{}, &v); err != nil {
		return err
	}
	if v.Status.Phase.Core() == vm.Terminated {
		if err := k.owners.Set(ctx, collections.Join(v.Owner, v.Id)); err != nil {
			return err
		}
		return k.tombstones.Set(ctx, collections.Join(v.TerminatedAt, v.Id))
	}
	if err := k.countDealt(ctx, v.Id, instances); err != nil {
		return err
	}
	host, err := k.hostNumber(ctx, v.Owner, v.Spec.MeshAddress)
	if err != nil {
		return err
	}
	if err := k.index(ctx, v, host); err != nil {
		return err
	}
	if err := k.moveDeadline(ctx, 0, v.Status.Deadline, v.Id); err != nil {
		return err
	}
	if queue && v.Status.Phase.Core() == vm.Pending && v.Status.Deadline == 0 {
		if err := k.enqueue(ctx, v.Id, ready); err != nil {
			return err
		}
	}
	if v.Status.Miner == "" {
		return nil
	}
	if err := k.indexMiner(ctx, &types.VM{}, &v); err != nil {
		return err
	}
	if err := shift(ctx, k.together, collections.Join(v.Owner, v.Status.Miner), 1); err != nil {
		return err
	}
	if v.Spec.SpreadGroup == "" {
		return nil
	}
	return shift(ctx, k.spread, collections.Join3(v.Owner, v.Spec.SpreadGroup, v.Status.Miner), 1)
}

// ExportGenesis is the state between two blocks.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	g := &types.GenesisState{}
	var err error
	if g.Params, err = k.params.Get(ctx); err != nil {
		return nil, err
	}
	if g.Keys, err = records.All(ctx, k.keys); err != nil {
		return nil, err
	}
	if g.Vms, err = records.All(ctx, k.vms); err != nil {
		return nil, err
	}
	for i := range g.Vms {
		if g.Vms[i].Status.Attestation, err = k.attestation(ctx, g.Vms[i].Id); err != nil {
			return nil, err
		}
		if g.Vms[i].Instances, err = k.instancesOf(ctx, g.Vms[i].Id, types.MaxInstanceSeq); err != nil {
			return nil, err
		}
	}
	if g.Exclusions, err = k.allExclusions(ctx); err != nil {
		return nil, err
	}
	if g.Halts, err = k.allHalts(ctx); err != nil {
		return nil, err
	}
	silence, err := records.OrZero(k.silenceActions.Get(ctx))
	if err != nil {
		return nil, err
	}
	g.SilenceHour, g.SilenceActions = int64(silence>>countBits), silence&(1<<countBits-1)
	return g, k.exportQueue(ctx, g)
}

func (k *Keeper) exportQueue(ctx context.Context, g *types.GenesisState) error {
	err := k.queue.Walk(ctx, nil, func(key queueKey) (bool, error) {
		g.Queue = append(g.Queue, types.QueuedVM{Class: key.K1(), Seq: key.K2(), VmId: key.K3()})
		return false, nil
	})
	if err != nil {
		return err
	}
	err = k.releasedPrune.Walk(ctx, nil, func(key collections.Quad[int64, string, int64, string]) (bool, error) {
		g.Released = append(g.Released, types.ReleasedVM{At: key.K1(), Miner: key.K2(), Height: key.K3(), VmId: key.K4()})
		return false, nil
	})
	if err != nil {
		return err
	}
	if g.ReportRates, err = records.All(ctx, k.reportRates); err != nil {
		return err
	}
	if g.Heads, err = records.All(ctx, k.heads); err != nil {
		return err
	}
	if g.QueueSeq, err = records.OrZero(k.queueSeq.Get(ctx)); err != nil {
		return err
	}
	if g.SweepCursor, err = records.OrZero(k.sweepCursor.Get(ctx)); err != nil {
		return err
	}
	if g.SweepVersion, err = records.OrZero(k.sweepVersion.Get(ctx)); err != nil {
		return err
	}
	if g.SweepAgain, err = records.OrZero(k.sweepAgain.Get(ctx)); err != nil {
		return err
	}
	if g.Searches, err = records.All(ctx, k.searches); err != nil {
		return err
	}
	g.OldestHeight, err = records.OrZero(k.oldestHeight.Get(ctx))
	return err
}
