package keeper

import (
	"context"
	"errors"
	"math"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/place"
)

// The ring of miners with available capacity lets placement look at a bounded number of
// miners however many there are: it walks the ring of a region from a point
// that the VM's id fixes. Miners found silent are taken off and come back with
// their next sign of life, so the ring does not fill with the dead.

type ringKey = collections.Triple[string, uint64, string]

func ringKeys(m *types.Miner) [2]ringKey {
	slot := place.Slot(m.Operator)
	return [2]ringKey{collections.Join3("", slot, m.Operator), collections.Join3(m.Region, slot, m.Operator)}
}

func onRing(m *types.Miner, p types.Params) bool {
	return m.Open() && m.BondUhip >= p.MinBondUhip && node.AvailableCapacity(m.Capacity.Node(), m.Usage.Node(), p.CpuOvercommit).Any()
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
	}
	return k.capacityGrew(ctx)
}

func (k *Keeper) offRing(ctx context.Context, m *types.Miner) error {
	for _, key := range ringKeys(m) {
		if err := k.rings.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// Walk returns up to limit open miners with available capacity, of a region ("" for all),
// from a point of the ring on. Miners silent for too long count towards the
// limit and are taken off the ring.
func (k *Keeper) Walk(ctx context.Context, region string, start uint64, limit int) ([]types.Miner, error) {
	p, err := k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	operators, err := k.walk(ctx, region, start, math.MaxUint64, limit)
	if err != nil {
		return nil, err
	}
	if len(operators) < limit && start > 0 {
		more, err := k.walk(ctx, region, 0, start-1, limit-len(operators))
		if err != nil {
			return nil, err
		}
		operators = append(operators, more...)
	}
	return k.alive(ctx, operators, p)
}

// Named returns the registered miners among the operators, but for those
// silent for too long, which are taken off the ring.
func (k *Keeper) Named(ctx context.Context, operators []string) ([]types.Miner, error) {
	p, err := k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	return k.alive(ctx, operators, p)
}

func (k *Keeper) alive(ctx context.Context, operators []string, p types.Params) ([]types.Miner, error) {
	miners := make([]types.Miner, 0, len(operators))
	for _, operator := range operators {
		m, err := k.miners.Get(ctx, operator)
		if errors.Is(err, collections.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
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

// walk lists the operators with places from first to last, both included.
func (k *Keeper) walk(ctx context.Context, region string, first, last uint64, limit int) ([]string, error) {
	it, err := k.rings.Iterate(ctx, new(collections.Range[ringKey]).StartInclusive(collections.TripleSuperPrefix[string, uint64, string](region, first)))
	if err != nil {
		return nil, err
	}
	defer it.Close() //nolint:errcheck // an iterator over a cached store
	var operators []string
	for ; it.Valid() && len(operators) < limit; it.Next() {
		key, err := it.Key()
		if err != nil {
			return nil, err
		}
		if key.K1() != region || key.K2() > last {
			break
		}
		operators = append(operators, key.K3())
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
	n, err := k.regions.Get(ctx, is)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
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
