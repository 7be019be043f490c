package keeper

import (
	"context"
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
	// maxWalk is how many miners of the ring are looked at for one assignment, at most: a window.
	maxWalk = 128
	// retrySeconds until miners that failed a VM are tried again when no other has the capacity.
	retrySeconds = 30
	// firstClass and afterClass order the classes of parked VMs, which are hex.
	firstClass = "0"
	afterClass = "g"
)

// work that placement may still do in a block: VMs placed or parked, and candidates looked at for them.
type work struct{ vms, candidates int }

func (w *work) left() bool { return w.vms > 0 && w.candidates >= maxWalk }

// half of the work, of an odd number of VMs the larger one in every other block.
func (w *work) half(height int64) work {
	part := work{(w.vms + int(height%2)) / 2, w.candidates / 2}
	w.vms -= part.vms
	w.candidates -= part.candidates
	return part
}

// placeQueued places the VMs that arrived, and those parked for lack of capacity as long as a class of them is not searched
// to its end. New ones have half of the work then, and what the others leave.
func (k *Keeper) placeQueued(ctx context.Context, p types.Params) error {
	rest := work{int(p.MaxAssignmentsPerBlock), int(p.MaxCandidatesPerBlock)}
	searching, err := k.unsearched(ctx)
	if err != nil {
		return err
	}
	if searching {
		part := rest.half(height(ctx))
		if err := k.placeNew(ctx, p, &part); err != nil {
			return err
		}
		rest.vms += part.vms
		rest.candidates += part.candidates
		if err := k.sweep(ctx, p, &rest); err != nil {
			return err
		}
	}
	if err := k.placeNew(ctx, p, &rest); err != nil {
		return err
	}
	return k.sweep(ctx, p, &rest)
}

// placeNew places VMs that were not tried since they arrived. One with which that goes wrong leaves the queue until it is
// tried again later, so that it cannot hold up others.
func (k *Keeper) placeNew(ctx context.Context, p types.Params, w *work) error {
	for w.left() {
		at, found, err := k.first(ctx, ready)
		if err != nil || !found || at.K1() != ready {
			return err
		}
		looked := 0
		ok := k.guarded(ctx, at.K3(), func(ctx context.Context) (err error) {
			looked, err = k.place(ctx, p, at.K3())
			return err
		})
		w.vms--
		w.candidates -= looked
		if !ok {
			if err := k.failedPlacement(ctx, at.K3()); err != nil {
				return err
			}
		}
	}
	return nil
}

// failedPlacement takes a VM with which placement went wrong out of the queue; it is tried again later.
func (k *Keeper) failedPlacement(ctx context.Context, id string) error {
	if err := k.dequeue(ctx, id); err != nil {
		return err
	}
	return k.putOff(ctx, id, 0)
}

// place gives a VM that arrived a miner of its window, or the reason why it has none yet. It goes behind those of its class that wait.
func (k *Keeper) place(ctx context.Context, p types.Params, id string) (looked int, err error) {
	v, next, ok, err := k.placeable(ctx, id)
	if err != nil || !ok {
		return 0, err
	}
	excluded, err := k.excludedFor(ctx, &v)
	if err != nil {
		return 0, err
	}
	class := classOf(&v, excluded)
	if _, waits, err := k.headOf(ctx, class); err != nil {
		return 0, err
	} else if waits {
		return 1, k.park(ctx, v, class)
	}
	s, err := k.searchOf(ctx, class)
	if err != nil {
		return 0, err
	}
	s.From = place.Start(id, next)
	miner, looked, err := k.look(ctx, p, &v, excluded, next, &s)
	switch {
	case err != nil:
		return looked, err
	case miner != "":
		return looked, k.assign(ctx, p, v, miner, len(excluded) > 0)
	case s.Whole && s.OnlyExcluded:
		return looked, k.retryLater(ctx, p, v)
	}
	if err := k.searches.Set(ctx, class, s); err != nil {
		return looked, err
	}
	return looked, k.park(ctx, v, class)
}

// placeable is a VM that waits for a miner and the instance it gets; one that does not leaves the queue.
func (k *Keeper) placeable(ctx context.Context, id string) (v types.VM, next uint32, ok bool, err error) {
	if v, err = k.VM(ctx, id); err != nil {
		return v, 0, false, err
	}
	if v.Status.Phase.Core() != vm.Pending {
		return v, 0, false, k.dequeue(ctx, id)
	}
	next = v.Status.InstanceSeq + 1
	dealt, err := k.instances.Has(ctx, collections.Join(id, next))
	if err != nil || dealt {
		return v, next, dealt, err
	}
	if err := k.dequeue(ctx, id); err != nil {
		return v, 0, false, err
	}
	return v, 0, false, k.wait(ctx, v, vm.ReasonSecretsNeeded, 0)
}

// retryLater has a VM wait until the miners that failed its tenant are tried again, as only they have the capacity, if any attempt is
// left.
func (k *Keeper) retryLater(ctx context.Context, p types.Params, v types.VM) error {
	if err := k.dequeue(ctx, v.Id); err != nil {
		return err
	}
	if v.Status.Attempts >= p.MaxAttempts {
		old := v
		if err := k.step(ctx, &v, vm.GiveUp, vm.Chain, why{reason: vm.ReasonAttempts}, 0); err != nil {
			return err
		}
		return k.save(ctx, &old, v)
	}
	return k.wait(ctx, v, vm.ReasonRetryWait, now(ctx)+retrySeconds)
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

// assign gives a VM to a miner, which has to begin before the deadline. If any miner failed the tenant lately, what the guest runs
// without a proof is charged: else each of a tenant's VMs would run on each miner for nothing.
func (k *Keeper) assign(ctx context.Context, p types.Params, v types.VM, miner string, failed bool) error {
	if err := k.dequeue(ctx, v.Id); err != nil {
		return err
	}
	old := v
	v.Status.Miner = miner
	v.Status.InstanceSeq++
	v.Status.Attempts++
	v.Status.BegunAt = 0
	v.Status.Attestation.Unproven = v.Status.Attestation.Unproven || failed && !v.Status.Attestation.Proven
	if err := k.step(ctx, &v, vm.Assign, vm.Chain, why{}, 0); err != nil {
		return err
	}
	v.Status.Deadline = now(ctx) + int64(p.ProvisionTimeoutSeconds)
	emit(ctx, types.EventVMAssigned,
		sdk.NewAttribute(types.AttributeVM, v.Id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner),
		sdk.NewAttribute(types.AttributeMiner, miner),
		sdk.NewAttribute(types.AttributeInstance, strconv.FormatUint(uint64(v.Status.InstanceSeq), 10)),
		sdk.NewAttribute(types.AttributeUnproven, strconv.FormatBool(v.Status.Attestation.Unproven)))
	return k.save(ctx, &old, v)
}

// look chooses among the next miners of a class's search, or among those that the tenant named. Where none will do,
// the search has come past them.
func (k *Keeper) look(ctx context.Context, p types.Params, v *types.VM, excluded []string, seq uint32, s *types.ClassSearch) (miner string, looked int, err error) {
	rp, err := k.registry.Params(ctx)
	if err != nil {
		return "", 0, err
	}
	w := registrytypes.Window{Looked: len(v.Spec.Miners), Whole: true}
	if w.Looked > 0 {
		w.Miners, err = k.offers.Named(ctx, v.Spec.Miners)
	} else {
		w, err = k.offers.Walk(ctx, v.Spec.Region, place.Pass{From: s.From, Span: s.Span}, maxWalk)
	}
	if err != nil {
		return "", w.Looked, err
	}
	req := place.Request{
		VM: v.Id, Seq: seq, Demand: v.Core().Demand(), Region: v.Spec.Region, Arch: v.Arch, Miners: v.Spec.Miners, Excluded: excluded, Again: v.Status.Attempts > 0,
		Overcommit: rp.CpuOvercommit, MinBond: rp.MinBondUhip, Now: now(ctx), Silence: int64(rp.SilenceSeconds),
	}
	cands := make([]place.Candidate, 0, len(w.Miners))
	for i := range w.Miners {
		c := candidate(&w.Miners[i], rp, req.Now)
		if c.SameGroup, err = k.holdsGroup(ctx, v, c.Miner); err != nil {
			return "", w.Looked, err
		}
		cands = append(cands, c)
	}
	lots, onlyExcluded := place.Draw(req, cands, int(p.MaxCandidates))
	if len(lots) == 0 {
		s.Span, s.Whole = w.Pass.Span, w.Whole
		if s.Searched += uint32(len(w.Miners)); len(v.Spec.Miners) > 0 { //nolint:gosec // a window
			s.Searched = uint32(w.Looked) //nolint:gosec // those that are named
		}
		s.OnlyExcluded = s.OnlyExcluded || onlyExcluded
		return "", w.Looked, nil
	}
	for i := range lots {
		if lots[i].SameTenant, err = k.together.Has(ctx, collections.Join(v.Owner, lots[i].Miner)); err != nil {
			return "", w.Looked, err
		}
	}
	return place.Best(req, lots), w.Looked, nil
}

func candidate(m *registrytypes.Miner, p registrytypes.Params, now int64) place.Candidate {
	return place.Candidate{
		Miner: m.Operator, Open: m.Open(), Bond: m.BondUhip, RegisteredAt: m.RegisteredAt, LastSeen: m.LastSeen,
		Region: m.Region, Arch: m.Capacity.Arch, Capacity: m.Covered(p), Usage: m.Usage.Node(),
		Slots: m.Slots(p), Quality: m.Record.Core().Quality(now), Price: node.Full,
	}
}

// holdsGroup reports whether a miner holds another VM of the same spread group, if it is in one.
func (k *Keeper) holdsGroup(ctx context.Context, v *types.VM, miner string) (bool, error) {
	if v.Spec.SpreadGroup == "" {
		return false, nil
	}
	return k.spread.Has(ctx, collections.Join3(v.Owner, v.Spec.SpreadGroup, miner))
}
