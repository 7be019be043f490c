package keeper

import (
	"context"
	"errors"
	"strconv"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/place"
	"github.com/hippius/compute/core/vm"
)

const (
	// maxWalk is how many miners of the ring are looked at for one assignment, at most.
	maxWalk = 256
	// retrySeconds until miners that failed a VM are tried again when no other has the capacity.
	retrySeconds = 30
	// firstClass and afterClass order the classes of parked VMs, which are hex.
	firstClass = "0"
	afterClass = "g"
)

// placeQueued places the VMs that arrived, then, if some miner's available capacity
// grew since, those parked for lack of capacity: class by class, each until one of it
// finds none. At most a parameter's worth a block; the rest waits its turn.
func (k *Keeper) placeQueued(ctx context.Context, p types.Params) error {
	budget := int(p.MaxAssignmentsPerBlock)
	for ; budget > 0; budget-- {
		at, found, err := k.first(ctx, ready)
		if err != nil {
			return err
		}
		if !found || at.K1() != ready {
			break
		}
		if err := k.tryPlace(ctx, p, at); err != nil {
			return err
		}
	}
	return k.sweep(ctx, p, budget)
}

// tryPlace places one VM; if that goes wrong it leaves the queue until it is tried again later, so that it cannot hold up others.
func (k *Keeper) tryPlace(ctx context.Context, p types.Params, at queueKey) error {
	ok := k.guarded(ctx, at.K3(), func(ctx context.Context) error { return k.place(ctx, p, at.K3(), at.K1()) })
	if ok {
		return nil
	}
	if err := k.dequeue(ctx, at.K3()); err != nil {
		return err
	}
	return k.putOff(ctx, at.K3(), 0)
}

// sweep tries parked VMs again after available capacity grew.
func (k *Keeper) sweep(ctx context.Context, p types.Params, budget int) error {
	cursor, err := k.sweepCursor.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		version, err := k.offers.CapacityVersion(ctx)
		if err != nil {
			return err
		}
		done, err := k.sweepVersion.Get(ctx)
		if err != nil && !errors.Is(err, collections.ErrNotFound) {
			return err
		}
		if version == done {
			return nil
		}
		if err := k.sweepVersion.Set(ctx, version); err != nil {
			return err
		}
		cursor = firstClass
	} else if err != nil {
		return err
	}
	for ; budget > 0; budget-- {
		at, found, err := k.first(ctx, cursor)
		if err != nil {
			return err
		}
		if !found {
			return k.sweepCursor.Remove(ctx)
		}
		if err := k.tryPlace(ctx, p, at); err != nil {
			return err
		}
		cursor = at.K1()
		if again, _, err := k.position(ctx, at.K3()); err != nil {
			return err
		} else if again.K2() == cursor {
			cursor += afterClass // no capacity for this class: on to the next
		}
	}
	return k.sweepCursor.Set(ctx, cursor)
}

// place gives one waiting VM a miner, or the reason why it has none yet.
func (k *Keeper) place(ctx context.Context, p types.Params, id, class string) error {
	v, err := k.VM(ctx, id)
	if err != nil {
		return err
	}
	if v.Status.Phase.Core() != vm.Pending {
		return k.dequeue(ctx, id)
	}
	next := v.Status.InstanceSeq + 1
	dealt, err := k.instances.Has(ctx, collections.Join(id, next))
	if err != nil {
		return err
	}
	if !dealt {
		if err := k.dequeue(ctx, id); err != nil {
			return err
		}
		return k.wait(ctx, v, vm.ReasonSecretsNeeded, 0)
	}
	choice, err := k.chooseMiner(ctx, p, &v, next)
	if err != nil {
		return err
	}
	switch {
	case choice.Miner != "":
		return k.assign(ctx, p, v, choice.Miner)
	case choice.OnlyExcluded:
		if err := k.dequeue(ctx, id); err != nil {
			return err
		}
		return k.wait(ctx, v, vm.ReasonRetryWait, now(ctx)+retrySeconds)
	case class == ready || class != classOf(&v):
		if err := k.enqueue(ctx, id, classOf(&v)); err != nil {
			return err
		}
		return k.wait(ctx, v, vm.ReasonNoCapacity, 0)
	default:
		return nil // it stays parked
	}
}

// wait keeps a VM pending with a reason, and a time to try it again if there is one.
func (k *Keeper) wait(ctx context.Context, v types.VM, reason string, until int64) error {
	old := v
	v.Status.Reason, v.Status.Message, v.Status.Deadline = reason, "", until
	emit(ctx, types.EventVMWaiting,
		sdk.NewAttribute(types.AttributeVM, v.Id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner),
		sdk.NewAttribute(types.AttributeReason, reason))
	return k.save(ctx, &old, v)
}

// assign gives a VM to a miner, which has to begin before the deadline.
func (k *Keeper) assign(ctx context.Context, p types.Params, v types.VM, miner string) error {
	if err := k.dequeue(ctx, v.Id); err != nil {
		return err
	}
	old := v
	v.Status.Miner = miner
	v.Status.InstanceSeq++
	v.Status.Attempts++
	if err := k.step(ctx, &v, vm.Assign, vm.Chain, why{}, 0); err != nil {
		return err
	}
	v.Status.Deadline = now(ctx) + int64(p.ProvisionTimeoutSeconds)
	emit(ctx, types.EventVMAssigned,
		sdk.NewAttribute(types.AttributeVM, v.Id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner),
		sdk.NewAttribute(types.AttributeMiner, miner),
		sdk.NewAttribute(types.AttributeInstance, strconv.FormatUint(uint64(v.Status.InstanceSeq), 10)))
	return k.save(ctx, &old, v)
}

// chooseMiner looks at a bounded part of the ring, or at the miners the tenant named.
func (k *Keeper) chooseMiner(ctx context.Context, p types.Params, v *types.VM, seq uint32) (place.Choice, error) {
	rp, err := k.registry.Params(ctx)
	if err != nil {
		return place.Choice{}, err
	}
	var miners []registrytypes.Miner
	if len(v.Spec.Miners) > 0 {
		miners, err = k.offers.Named(ctx, v.Spec.Miners)
	} else {
		miners, err = k.offers.Walk(ctx, v.Spec.Region, place.Start(v.Id, seq), maxWalk)
	}
	if err != nil {
		return place.Choice{}, err
	}
	cands := make([]place.Candidate, 0, len(miners))
	for i := range miners {
		c, err := k.candidate(ctx, v, &miners[i])
		if err != nil {
			return place.Choice{}, err
		}
		cands = append(cands, c)
	}
	return place.Place(place.Request{
		VM: v.Id, Seq: seq, Demand: v.Core().Demand(), Region: v.Spec.Region, Arch: v.Arch, Miners: v.Spec.Miners, Excluded: v.Status.Excluded,
		Overcommit: rp.CpuOvercommit, MinBond: rp.MinBondUhip, Now: now(ctx), Silence: int64(rp.SilenceSeconds),
	}, cands, int(p.MaxCandidates)), nil
}

func (k *Keeper) candidate(ctx context.Context, v *types.VM, m *registrytypes.Miner) (place.Candidate, error) {
	together, err := k.together.Has(ctx, collections.Join(v.Owner, m.Operator))
	if err != nil {
		return place.Candidate{}, err
	}
	group := false
	if v.Spec.SpreadGroup != "" {
		if group, err = k.spread.Has(ctx, collections.Join3(v.Owner, v.Spec.SpreadGroup, m.Operator)); err != nil {
			return place.Candidate{}, err
		}
	}
	return place.Candidate{
		Miner: m.Operator, Open: m.Open(), Bond: m.BondUhip, RegisteredAt: m.RegisteredAt, LastSeen: m.LastSeen,
		Region: m.Region, Arch: m.Capacity.Arch, Capacity: m.Capacity.Node(), Usage: m.Usage.Node(),
		Quality: node.Full, Price: node.Full, SameTenant: together, SameGroup: group,
	}, nil
}
