package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
)

// A miner that failed a VM is tried last for all VMs of its owner, for a day. So liars take from a tenant one attempt each, and
// what a tenant has fail on purpose counts once against a miner.

// maxExclusions of an owner; the one that ends first makes room for another, which then counts against no miner: else the same few were
// blamed by turns.
const maxExclusions = 64

// excludedFor are the miners to be tried last for a VM: those that failed its owner, or, once only such have room, those that failed
// it since.
func (k *Keeper) excludedFor(ctx context.Context, v *types.VM) ([]string, error) {
	if v.Status.Retrying {
		return v.Status.Excluded, nil
	}
	list := slices.Clone(v.Status.Excluded)
	all, err := k.exclusionsOf(ctx, v.Owner)
	for _, e := range all {
		if e.Until > now(ctx) && !slices.Contains(list, e.Miner) {
			list = append(list, e.Miner)
		}
	}
	return list, err
}

// exclusionsOf an owner, at most maxExclusions.
func (k *Keeper) exclusionsOf(ctx context.Context, owner string) (all []types.Exclusion, err error) {
	err = k.exclusions.Walk(ctx, collections.NewPrefixedPairRange[string, string](owner), func(key ownerKey, until int64) (bool, error) {
		all = append(all, types.Exclusion{Owner: key.K1(), Miner: key.K2(), Until: until})
		return false, nil
	})
	return all, err
}

// exclude has the miner of a VM tried last for its owner, and reports whether that counts against the miner: not if it was excluded
// already, nor if another's exclusion had to end for it.
func (k *Keeper) exclude(ctx context.Context, p types.Params, v *types.VM) (fresh bool, err error) {
	remember(v)
	all, err := k.exclusionsOf(ctx, v.Owner)
	if err != nil {
		return false, err
	}
	for _, e := range all {
		if e.Miner == v.Status.Miner {
			if e.Until > now(ctx) {
				return false, nil
			}
			if err := k.includeAgain(ctx, e); err != nil {
				return false, err
			}
		}
	}
	fresh = true
	if len(all) >= maxExclusions {
		first := slices.MinFunc(all, func(a, b types.Exclusion) int { return cmp.Compare(a.Until, b.Until) })
		fresh = first.Until <= now(ctx)
		if err := k.includeAgain(ctx, first); err != nil {
			return false, err
		}
	}
	return fresh, k.putExclusion(ctx, types.Exclusion{Owner: v.Owner, Miner: v.Status.Miner, Until: now(ctx) + int64(p.ExcludeSeconds)})
}

func (k *Keeper) putExclusion(ctx context.Context, e types.Exclusion) error {
	return errors.Join(k.exclusions.Set(ctx, collections.Join(e.Owner, e.Miner), e.Until), k.exclusionsDue.Set(ctx, collections.Join3(e.Until, e.Owner, e.Miner)))
}

func (k *Keeper) includeAgain(ctx context.Context, e types.Exclusion) error {
	return errors.Join(k.exclusions.Remove(ctx, collections.Join(e.Owner, e.Miner)), k.exclusionsDue.Remove(ctx, collections.Join3(e.Until, e.Owner, e.Miner)))
}

// pruneExclusions forgets those that ended, at most so many.
func (k *Keeper) pruneExclusions(ctx context.Context, most int) error {
	due, err := records.Due(ctx, k.exclusionsDue, now(ctx), most)
	if err != nil {
		return err
	}
	for _, key := range due {
		if err := k.includeAgain(ctx, types.Exclusion{Until: key.K1(), Owner: key.K2(), Miner: key.K3()}); err != nil {
			return err
		}
	}
	return nil
}

// allExclusions in the order of owners and miners.
func (k *Keeper) allExclusions(ctx context.Context) (all []types.Exclusion, err error) {
	err = k.exclusions.Walk(ctx, nil, func(key ownerKey, until int64) (bool, error) {
		all = append(all, types.Exclusion{Owner: key.K1(), Miner: key.K2(), Until: until})
		return false, nil
	})
	return all, err
}

// checkExclusions says whether the queue is not that of the exclusions, or an owner has too many.
func (k *Keeper) checkExclusions(ctx context.Context) error {
	all, err := k.allExclusions(ctx)
	if err != nil {
		return err
	}
	of := map[string]int{}
	for _, e := range all {
		if of[e.Owner]++; of[e.Owner] > maxExclusions {
			return fmt.Errorf("more than %d miners are excluded for %s", maxExclusions, e.Owner)
		}
		if has, err := k.exclusionsDue.Has(ctx, collections.Join3(e.Until, e.Owner, e.Miner)); err != nil || !has {
			return fmt.Errorf("the exclusion of miner %s for %s never ends, %w", e.Miner, e.Owner, orMissing(err))
		}
	}
	due := 0
	err = k.exclusionsDue.Walk(ctx, nil, func(exclusionKey) (bool, error) { due++; return false, nil })
	if err == nil && due != len(all) {
		return fmt.Errorf("%d exclusions end, of %d", due, len(all))
	}
	return err
}
