package keeper

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/entry"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/place"
)

// The ring of miners with available capacity lets placement look at a bounded number of
// miners at a time however many there are: it walks the ring of a region from a
// point that the VM's id fixes, and goes on from there while the VM waits. Miners found silent are taken off and come back with
// their next sign of life, so the ring does not fill with the dead.

type ringKey = collections.Triple[string, uint64, string]

func ringKeys(m *types.Miner) [2]ringKey {
	slot := place.Slot(m.Operator)
	return [2]ringKey{collections.Join3("", slot, m.Operator), collections.Join3(m.Region, slot, m.Operator)}
}

func onRing(m *types.Miner, p types.Params) bool {
	return m.Open() && m.BondUhip >= p.MinBondUhip && m.Slots(p) > 0 && m.Available(p).Any()
}

// index puts a miner on the rings it belongs to and off those it does not.
func (k *Keeper) index(ctx context.Context, old, m *types.Miner, p types.Params) error {
	if old.Operator != "" && old.Region != m.Region {
		if err := k.offRing(ctx, old); err != nil {
			return err
		}
	}
	keys := ringKeys(m)
	has, err := k.rings.Has(ctx, keys[0])
	if err != nil || has == onRing(m, p) {
		return err
	}
	if has {
		return k.offRing(ctx, m)
	}
	for _, key := range keys {
		if err := k.rings.Set(ctx, key); err != nil {
			return err
		}
		if err := k.countRing(ctx, key.K1(), 1); err != nil {
			return err
		}
	}
	return k.capacityGrew(ctx)
}

func (k *Keeper) offRing(ctx context.Context, m *types.Miner) error {
	for _, key := range ringKeys(m) {
		has, err := k.rings.Has(ctx, key)
		if err != nil {
			return err
		}
		if !has {
			continue
		}
		if err := k.rings.Remove(ctx, key); err != nil {
			return err
		}
		if err := k.countRing(ctx, key.K1(), -1); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) countRing(ctx context.Context, region string, by int64) error {
	n, err := k.RingSize(ctx, region)
	if err != nil {
		return err
	}
	if to := int64(n) + by; to > 0 {
		return k.ringSizes.Set(ctx, region, uint64(to))
	}
	return k.ringSizes.Remove(ctx, region)
}

// RingSize is how many miners are on the ring of a region, "" for all.
func (k *Keeper) RingSize(ctx context.Context, region string) (uint64, error) {
	return records.OrZero(k.ringSizes.Get(ctx, region))
}

// Walk goes on with a pass over the ring of a region, "" for all, and returns the open miners with available capacity
// among the next limit. Miners silent for too long count towards the limit and are taken off the ring. Miners that
// share a slot are looked at together, whatever the limit.
func (k *Keeper) Walk(ctx context.Context, region string, pass place.Pass, limit int) (types.Window, error) {
	w := types.Window{Pass: pass, Whole: true}
	p, err := k.params.Get(ctx)
	if err != nil {
		return w, err
	}
	var operators []string
	for _, arc := range pass.Left() {
		more, err := k.walk(ctx, region, arc, limit-len(operators))
		if err != nil {
			return w, err
		}
		operators = append(operators, more...)
		if len(operators) >= limit {
			w.Pass, w.Whole = pass.After(place.Slot(operators[len(operators)-1]))
			break
		}
	}
	w.Looked = len(operators)
	w.Miners, err = k.alive(ctx, region, operators, p)
	return w, err
}

// Named returns the registered miners among the operators, but for those
// silent for too long, which are taken off the ring.
func (k *Keeper) Named(ctx context.Context, operators []string) ([]types.Miner, error) {
	p, err := k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	return k.alive(ctx, "", operators, p)
}

// alive are the miners among operators that were seen lately. Those of the ring of a region that are silent or cannot be read are taken
// off it.
func (k *Keeper) alive(ctx context.Context, region string, operators []string, p types.Params) ([]types.Miner, error) {
	miners := make([]types.Miner, 0, len(operators))
	for _, operator := range operators {
		m, err := k.miners.Get(ctx, operator)
		if errors.Is(err, collections.ErrNotFound) {
			continue
		}
		if err != nil {
			entry.Failed(ctx, types.ModuleName, "offer_miner", operator, err)
			m = types.Miner{Operator: operator, Region: region}
		}
		if now(ctx)-m.LastSeen > int64(p.SilenceSeconds) {
			if err := k.offRing(ctx, &m); err != nil {
				return nil, err
			}
			continue
		}
		miners = append(miners, m)
	}
	return miners, nil
}

// walk lists up to limit operators with slots of an arc, and those that share the slot of the last.
func (k *Keeper) walk(ctx context.Context, region string, arc place.Arc, limit int) ([]string, error) {
	it, err := k.rings.Iterate(ctx, new(collections.Range[ringKey]).StartInclusive(collections.TripleSuperPrefix[string, uint64, string](region, arc.First)))
	if err != nil {
		return nil, err
	}
	defer it.Close() //nolint:errcheck // an iterator over a cached store
	var operators []string
	for slot := uint64(0); it.Valid(); it.Next() {
		key, err := it.Key()
		if err != nil {
			return nil, err
		}
		if key.K1() != region || key.K2() > arc.Last || len(operators) >= limit && key.K2() != slot {
			break
		}
		slot = key.K2()
		operators = append(operators, key.K3())
	}
	return operators, nil
}

// offRings are the operators of miners that were taken off the ring for their silence.
func (k *Keeper) offRings(ctx context.Context, miners []types.Miner, p types.Params) (operators []string, err error) {
	for i := range miners {
		if !onRing(&miners[i], p) {
			continue
		}
		if has, err := k.rings.Has(ctx, ringKeys(&miners[i])[0]); err != nil {
			return nil, err
		} else if !has {
			operators = append(operators, miners[i].Operator)
		}
	}
	return operators, nil
}

// CapacityVersion rises whenever the available capacity of a miner grew.
func (k *Keeper) CapacityVersion(ctx context.Context) (uint64, error) {
	return records.OrZero(k.capacityVersion.Get(ctx))
}

func (k *Keeper) capacityGrew(ctx context.Context) error {
	v, err := k.CapacityVersion(ctx)
	if err != nil {
		return err
	}
	return k.capacityVersion.Set(ctx, v+1)
}

// countRegion keeps how many open miners each region has.
func (k *Keeper) countRegion(ctx context.Context, old, m *types.Miner) error {
	was, is := "", ""
	if old.Open() {
		was = old.Region
	}
	if m.Open() {
		is = m.Region
	}
	if was == is {
		return nil
	}
	if was != "" {
		n, err := k.regions.Get(ctx, was)
		if err != nil {
			return err
		}
		if n > 1 {
			err = k.regions.Set(ctx, was, n-1)
		} else {
			err = k.regions.Remove(ctx, was)
		}
		if err != nil {
			return err
		}
	}
	if is == "" {
		return nil
	}
	n, err := records.OrZero(k.regions.Get(ctx, is))
	if err != nil {
		return err
	}
	return k.regions.Set(ctx, is, n+1)
}

// HasRegion reports whether some active miner is in the region.
func (k *Keeper) HasRegion(ctx context.Context, region string) (bool, error) {
	return k.regions.Has(ctx, region)
}

// Regions lists up to limit regions with active miners.
func (k *Keeper) Regions(ctx context.Context, limit int) ([]string, error) {
	var regions []string
	err := k.regions.Walk(ctx, nil, func(region string, _ uint64) (bool, error) {
		regions = append(regions, region)
		return len(regions) >= limit, nil
	})
	return regions, err
}

// checkRings says whether the rings hold just the miners that were found on them, and are counted so.
func (k *Keeper) checkRings(ctx context.Context, found map[string]uint64) error {
	on := map[string]uint64{}
	err := k.rings.Walk(ctx, nil, func(key ringKey) (bool, error) {
		on[key.K1()]++
		if on[key.K1()] > found[key.K1()] {
			return true, fmt.Errorf("%s is on the ring and no miner", key.K3())
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	counted := map[string]uint64{}
	err = k.ringSizes.Walk(ctx, nil, func(region string, n uint64) (bool, error) {
		counted[region] = n
		return false, nil
	})
	if err == nil && !maps.Equal(on, counted) {
		return fmt.Errorf("the rings count %v miners and hold %v", counted, on)
	}
	return err
}
