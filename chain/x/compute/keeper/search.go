package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/core/place"
	"github.com/hippius/compute/core/vm"
)

// visitCost is how many candidates trying a VM counts as at least, whose record and exclusions are read.
const visitCost = 8

// maxWindows of a class are looked at before the next class has its turn.
const maxWindows = 4

// progress is what trying one parked VM came to.
type progress struct {
	// looked counts the candidates, vms is 1 if the VM was placed or waits elsewhere.
	looked, vms int
	// rests: there is nothing to be done for its class before capacity grows.
	rests bool
}

// sweep goes round the classes of parked VMs, until all were searched to their end for the present capacity.
func (k *Keeper) sweep(ctx context.Context, p types.Params, w *work) error {
	cursor, err := records.OrZero(k.sweepCursor.Get(ctx))
	if err != nil {
		return err
	}
	if cursor == "" {
		if more, err := k.beginRound(ctx); err != nil || !more {
			return err
		}
		cursor = firstClass
	}
	for w.left() {
		at, found, err := k.first(ctx, cursor)
		if err != nil {
			return err
		}
		if found {
			if err := k.visit(ctx, p, at.K1(), w); err != nil {
				return err
			}
			cursor = at.K1() + afterClass
			continue
		}
		if more, err := k.beginRound(ctx); err != nil {
			return err
		} else if !more {
			return k.sweepCursor.Remove(ctx)
		}
		cursor = firstClass
	}
	return k.sweepCursor.Set(ctx, cursor)
}

// unsearched reports whether a class may be searched further.
func (k *Keeper) unsearched(ctx context.Context) (bool, error) {
	cursor, err1 := records.OrZero(k.sweepCursor.Get(ctx))
	again, err2 := records.OrZero(k.sweepAgain.Get(ctx))
	done, err3 := records.OrZero(k.sweepVersion.Get(ctx))
	version, err4 := k.offers.CapacityVersion(ctx)
	return cursor != "" || again || version != done, errors.Join(err1, err2, err3, err4)
}

// beginRound over the classes, if one is needed.
func (k *Keeper) beginRound(ctx context.Context) (bool, error) {
	version, err := k.offers.CapacityVersion(ctx)
	if err != nil {
		return false, err
	}
	done, err := records.OrZero(k.sweepVersion.Get(ctx))
	if err != nil {
		return false, err
	}
	again, err := records.OrZero(k.sweepAgain.Get(ctx))
	if err != nil || !again && version == done {
		return false, err
	}
	if err := k.sweepAgain.Remove(ctx); err != nil {
		return false, err
	}
	return true, k.sweepVersion.Set(ctx, version)
}

// visit tries the VMs of a class in their order, each window until it has nothing for them.
func (k *Keeper) visit(ctx context.Context, p types.Params, class string, w *work) error {
	for n := 0; n < maxWindows && w.left(); n++ {
		id, waits, err := k.headOf(ctx, class)
		if err != nil || !waits {
			return err
		}
		var d progress
		ok := k.guarded(ctx, id, func(ctx context.Context) (err error) {
			d, err = k.placeParked(ctx, p, id, class)
			return err
		})
		w.candidates -= max(d.looked, visitCost)
		w.vms -= d.vms
		if !ok {
			if err := k.failedPlacement(ctx, id); err != nil {
				return err
			}
		}
		if d.rests {
			return nil
		}
	}
	return k.sweepAgain.Set(ctx, true)
}

// placeParked tries the first VM of a class against the class's next window. Where that has no miner for it, it
// has none for the others of the class, and the search goes on behind it.
func (k *Keeper) placeParked(ctx context.Context, p types.Params, id, class string) (d progress, err error) {
	d.vms = 1
	v, next, ok, err := k.placeable(ctx, id)
	if err != nil || !ok {
		return d, err
	}
	excluded, err := k.excludedFor(ctx, &v)
	if err != nil {
		return d, err
	}
	if is := classOf(&v, excluded); is != class { // it asks for something else since
		return d, k.park(ctx, v, is)
	}
	s, err := k.searchOf(ctx, class)
	if err != nil {
		return d, err
	}
	if s.OnlyExcluded && v.Status.Attempts >= p.MaxAttempts {
		if s, err = k.current(ctx, s); err != nil { // where capacity grew meanwhile may be a miner that was not tried
			return d, err
		}
	}
	if s.Whole && s.OnlyExcluded {
		return d, k.retryLater(ctx, p, v)
	}
	if s.Whole {
		return progress{rests: true}, nil
	}
	miner, looked, err := k.look(ctx, p, &v, excluded, next, &s)
	if err != nil {
		return d, err
	}
	d.looked = looked
	if miner != "" {
		return d, k.assign(ctx, p, v, miner, len(excluded) > 0)
	}
	d.vms = 0
	return d, k.searches.Set(ctx, class, s)
}

// park puts a VM at the end of its class, which is searched further unless that is known to be in vain.
func (k *Keeper) park(ctx context.Context, v types.VM, class string) error {
	s, err := k.searchOf(ctx, class)
	if err != nil {
		return err
	}
	if err := k.enqueue(ctx, v.Id, class); err != nil {
		return err
	}
	if !s.Whole || s.OnlyExcluded {
		if err := k.sweepAgain.Set(ctx, true); err != nil {
			return err
		}
	}
	return k.wait(ctx, v, vm.ReasonNoCapacity, 0)
}

// searchOf is how far a class was searched for the present capacity. What grew behind a pass is found by the next one, but for the
// VMs of a class for which only excluded miners had room: they need not wait for it.
func (k *Keeper) searchOf(ctx context.Context, class string) (types.ClassSearch, error) {
	s, err := k.searches.Get(ctx, class)
	if errors.Is(err, collections.ErrNotFound) {
		version, err := k.offers.CapacityVersion(ctx)
		return types.ClassSearch{Class: class, From: place.Start(class, 0), Version: version}, err
	}
	if err != nil || s.OnlyExcluded {
		return s, err
	}
	return k.current(ctx, s)
}

// current is a search if the capacity is the one that it searched to its end, else one that begins anew.
func (k *Keeper) current(ctx context.Context, s types.ClassSearch) (types.ClassSearch, error) {
	version, err := k.offers.CapacityVersion(ctx)
	if err == nil && s.Whole && s.Version != version {
		s = types.ClassSearch{Class: s.Class, From: s.From, Version: version}
	}
	return s, err
}

// searched is how many miners were looked at for a VM that waits for capacity, of how many that have some.
func (k *Keeper) searched(ctx context.Context, v *types.VM) (searched, total uint32, err error) {
	at, found, err := k.position(ctx, v.Id)
	if err != nil || !found || at.K2() == ready {
		return 0, 0, err
	}
	s, err := records.OrZero(k.searches.Get(ctx, at.K2()))
	if err != nil {
		return 0, 0, err
	}
	of := uint64(len(v.Spec.Miners))
	if of == 0 {
		if of, err = k.offers.RingSize(ctx, v.Spec.Region); err != nil {
			return 0, 0, err
		}
	}
	return uint32(min(uint64(s.Searched), of)), uint32(of), nil //nolint:gosec // there are not that many miners
}

// checkSearches says whether a class is searched of which no VM waits.
func (k *Keeper) checkSearches(ctx context.Context) error {
	return k.searches.Walk(ctx, nil, func(class string, s types.ClassSearch) (bool, error) {
		_, waits, err := k.headOf(ctx, class)
		if err == nil && (!waits || s.Class != class || class == ready) {
			err = fmt.Errorf("class %q is searched as %q; it waits: %t", class, s.Class, waits)
		}
		return err != nil, err
	})
}
