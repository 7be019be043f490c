package keeper

import (
	"context"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/core/vm"
)

// InitGenesis loads the state; the capacity VMs take, their addresses' blocks and
// their meters are in the other modules' genesis, which come first. Cursors
// begin anew: miners take a full listing.
func (k *Keeper) InitGenesis(ctx context.Context, g types.GenesisState) error {
	if err := g.Validate(); err != nil {
		return err
	}
	if err := k.params.Set(ctx, g.Params); err != nil {
		return err
	}
	if err := k.oldestHeight.Set(ctx, height(ctx)); err != nil {
		return err
	}
	for _, key := range g.Keys {
		if err := k.keys.Set(ctx, collections.Join(key.Owner, key.Name), key); err != nil {
			return err
		}
	}
	for _, v := range g.Vms {
		if err := k.load(ctx, v); err != nil {
			return types.ErrInvalid.Wrapf("VM %s: %s", v.Id, err)
		}
	}
	return nil
}

// load puts a VM of the genesis and its indexes, but changes nothing elsewhere.
func (k *Keeper) load(ctx context.Context, v types.VM) error {
	if err := k.putInstances(ctx, v.Id, v.Instances); err != nil {
		return err
	}
	v.Instances, v.AuthorizedKeys, v.Status.QueuePlace = nil, nil, 0
	v.ChangedHeight = height(ctx)
	v.Status.Attestation.ProofHeight = 0 // heights begin anew
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
	if v.Status.Phase.Core() == vm.Pending && v.Status.Deadline == 0 {
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
	return g, nil
}
