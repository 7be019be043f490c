package keeper

import (
	"context"
	"errors"
	"reflect"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
)

// VM by id, without instances; types.ErrUnknownVM if there is none.
func (k *Keeper) VM(ctx context.Context, id string) (types.VM, error) {
	v, err := k.vms.Get(ctx, id)
	if errors.Is(err, collections.ErrNotFound) {
		return types.VM{}, types.ErrUnknownVM.Wrapf("there is no VM %.40q", id)
	}
	if err != nil {
		return v, err
	}
	v.Status.Attestation, err = k.attestation(ctx, id)
	return v, err
}

// put keeps a VM, of which only what changed is written.
func (k *Keeper) put(ctx context.Context, old *types.VM, v types.VM) error {
	if !reflect.DeepEqual(old.Status.Attestation, v.Status.Attestation) {
		if err := k.attestations.Set(ctx, v.Id, v.Status.Attestation); err != nil {
			return err
		}
	}
	was, is := *old, v
	was.Status.Attestation, is.Status.Attestation = types.Attestation{}, types.Attestation{}
	if reflect.DeepEqual(was, is) {
		return nil
	}
	return k.vms.Set(ctx, v.Id, is)
}

// owned is a VM that its owner wants something of.
func (k *Keeper) owned(ctx context.Context, owner, id string) (types.VM, error) {
	v, err := k.VM(ctx, id)
	if err != nil {
		return v, err
	}
	if v.Owner != owner {
		return v, types.ErrNotOwner.Wrapf("VM %s belongs to another account than %s", id, owner)
	}
	return v, nil
}

// save keeps a VM, every index of it, the capacity it takes and the rate it costs.
// old is the VM as it was read; nil for a new one. The rate is the last thing
// changed, so whatever the meter does in turn finds the VM as it now is.
func (k *Keeper) save(ctx context.Context, old *types.VM, v types.VM) error {
	if old == nil {
		old = &types.VM{}
	}
	if changed(old, &v) {
		v.ChangedHeight = height(ctx)
	}
	if miner := old.Status.Miner; miner != "" && miner != v.Status.Miner {
		if err := k.chargeAll(ctx, &v, miner); err != nil {
			return err
		}
	}
	if err := k.put(ctx, old, v); err != nil {
		return err
	}
	if err := k.countReady(ctx, old, &v); err != nil {
		return err
	}
	if err := k.indexMiner(ctx, old, &v); err != nil {
		return err
	}
	if err := k.moveDeadline(ctx, old.Status.Deadline, v.Status.Deadline, v.Id); err != nil {
		return err
	}
	if old.Status.Miner != v.Status.Miner {
		if err := k.leave(ctx, old); err != nil {
			return err
		}
		if err := k.join(ctx, &v); err != nil {
			return err
		}
	} else if from, to := old.Core().Holds(), v.Core().Holds(); v.Status.Miner != "" && from != to {
		if err := k.offers.Swap(ctx, v.Status.Miner, from, to); err != nil {
			return err
		}
	}
	if err := k.moveTrial(ctx, old, &v); err != nil {
		return err
	}
	return k.moveRate(ctx, old, &v)
}

// changed reports whether followers must see the VM anew; a height of 0 asks for it.
func changed(old, v *types.VM) bool {
	return v.ChangedHeight == 0 || old.Generation != v.Generation || old.Status.Phase != v.Status.Phase ||
		old.Status.Miner != v.Status.Miner || old.Status.InstanceSeq != v.Status.InstanceSeq
}

func (k *Keeper) indexMiner(ctx context.Context, old, v *types.VM) error {
	if old.Status.Miner == v.Status.Miner && old.ChangedHeight == v.ChangedHeight {
		return nil
	}
	if old.Status.Miner != "" {
		if err := k.miners.Remove(ctx, collections.Join3(old.Status.Miner, old.ChangedHeight, v.Id)); err != nil {
			return err
		}
	}
	if v.Status.Miner == "" {
		return nil
	}
	return k.miners.Set(ctx, collections.Join3(v.Status.Miner, v.ChangedHeight, v.Id))
}

func (k *Keeper) moveDeadline(ctx context.Context, from, to int64, id string) error {
	if from == to {
		return nil
	}
	if from != 0 {
		if err := k.deadlines.Remove(ctx, collections.Join(from, id)); err != nil {
			return err
		}
	}
	if to == 0 {
		return nil
	}
	return k.deadlines.Set(ctx, collections.Join(to, id))
}

// join takes a VM's capacity on its new miner, if it has one.
func (k *Keeper) join(ctx context.Context, v *types.VM) error {
	miner := v.Status.Miner
	if miner == "" {
		return nil
	}
	if err := k.offers.Hold(ctx, miner, v.Core().Holds()); err != nil {
		return err
	}
	if err := shift(ctx, k.together, collections.Join(v.Owner, miner), 1); err != nil {
		return err
	}
	if v.Spec.SpreadGroup == "" {
		return nil
	}
	return shift(ctx, k.spread, collections.Join3(v.Owner, v.Spec.SpreadGroup, miner), 1)
}

// leave gives a VM's capacity on its old miner back and tells that miner to keep
// nothing of it; the identity it may have kept all the same counts no more.
func (k *Keeper) leave(ctx context.Context, old *types.VM) error {
	miner := old.Status.Miner
	if miner == "" {
		return nil
	}
	if err := k.offers.Release(ctx, miner, old.Core().Holds()); err != nil {
		return err
	}
	if err := shift(ctx, k.together, collections.Join(old.Owner, miner), -1); err != nil {
		return err
	}
	if old.Spec.SpreadGroup != "" {
		if err := shift(ctx, k.spread, collections.Join3(old.Owner, old.Spec.SpreadGroup, miner), -1); err != nil {
			return err
		}
	}
	if err := k.fence(ctx, old); err != nil {
		return err
	}
	if err := k.released.Set(ctx, collections.Join3(miner, height(ctx), old.Id)); err != nil {
		return err
	}
	return k.releasedPrune.Set(ctx, collections.Join4(now(ctx), miner, height(ctx), old.Id))
}

// moveRate tells the owner's meter what the VM costs now.
func (k *Keeper) moveRate(ctx context.Context, old, v *types.VM) error {
	was, is := old.Core().Rate(), v.Core().Rate()
	if was == is {
		return nil
	}
	return k.meters.SetRate(ctx, v.Owner, int64(is)-int64(was))
}

// shift moves a count, which is forgotten at 0.
func shift[K any](ctx context.Context, m collections.Map[K, uint64], key K, by int64) error {
	n, err := records.OrZero(m.Get(ctx, key))
	if err != nil {
		return err
	}
	to := int64(n) + by
	if to > 0 {
		return m.Set(ctx, key, uint64(to))
	}
	return m.Remove(ctx, key)
}

// instance of a VM; types.ErrInstances if it was never dealt.
func (k *Keeper) instance(ctx context.Context, id string, seq uint32) (types.Instance, error) {
	in, err := k.instances.Get(ctx, collections.Join(id, seq))
	if errors.Is(err, collections.ErrNotFound) {
		return in, types.ErrInstances.Wrapf("instance %d of VM %s was never dealt", seq, id)
	}
	return in, err
}

// instancesOf a VM in order, at most up to a sequence number.
func (k *Keeper) instancesOf(ctx context.Context, id string, upTo uint32) ([]types.Instance, error) {
	var list []types.Instance
	err := k.instances.Walk(ctx, collections.NewPrefixedPairRange[string, uint32](id).EndInclusive(upTo),
		func(_ instanceKey, in types.Instance) (bool, error) {
			list = append(list, in)
			return false, nil
		})
	return list, err
}

// full adds to a VM what is kept apart: all its instances and its authorized keys.
func (k *Keeper) full(ctx context.Context, v types.VM) (types.VM, error) {
	var err error
	if v.Instances, err = k.instancesOf(ctx, v.Id, types.MaxInstanceSeq); err != nil {
		return v, err
	}
	return k.withKeys(ctx, v)
}

func (k *Keeper) withKeys(ctx context.Context, v types.VM) (types.VM, error) {
	if v.Ended() {
		return v, nil // its keys may be gone
	}
	for _, name := range v.Spec.SshKeys {
		key, err := k.keys.Get(ctx, collections.Join(v.Owner, name))
		if err != nil {
			return v, err
		}
		v.AuthorizedKeys = append(v.AuthorizedKeys, key.PublicKey)
	}
	for _, key := range v.RemovedKeys {
		v.AuthorizedKeys = append(v.AuthorizedKeys, key.PublicKey)
	}
	return v, nil
}
