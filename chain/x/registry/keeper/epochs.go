package keeper

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/entry"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/registry/types"
)

// maxRetired bounds the committees that stop to take deals in one block; the rest follows in the next.
const maxRetired = 20

// HoldCommittee says that so many instances were dealt to the committee of an epoch; it is kept until all are released.
func (k *Keeper) HoldCommittee(ctx context.Context, epoch, instances uint64) error {
	if _, err := k.CommitteeOf(ctx, epoch); err != nil {
		return err
	}
	n, err := k.LiveInstances(ctx, epoch)
	if err != nil {
		return err
	}
	return k.live.Set(ctx, epoch, n+instances)
}

// ReleaseCommittee says that so many instances that HoldCommittee was told of need their secrets no more.
func (k *Keeper) ReleaseCommittee(ctx context.Context, epoch, instances uint64) error {
	n, err := k.LiveInstances(ctx, epoch)
	if err != nil {
		return err
	}
	if instances > n {
		return fmt.Errorf("%d instances of committee %d are released; it has %d", instances, epoch, n)
	}
	if n > instances {
		return k.live.Set(ctx, epoch, n-instances)
	}
	if err := k.live.Remove(ctx, epoch); err != nil {
		return err
	}
	c, err := k.former.Get(ctx, epoch)
	if errors.Is(err, collections.ErrNotFound) {
		return nil // the present one
	}
	if err != nil {
		return err
	}
	if queued, err := k.replaced.Has(ctx, collections.Join(c.ReplacedAt, epoch)); err != nil || queued {
		return err // it still takes deals
	}
	return k.forget(ctx, c)
}

// LiveInstances dealt to the committee of an epoch.
func (k *Keeper) LiveInstances(ctx context.Context, epoch uint64) (uint64, error) {
	return records.OrZero(k.live.Get(ctx, epoch))
}

// retireCommittees ends the time in which former committees take deals, and forgets those without live instances.
func (k *Keeper) retireCommittees(ctx context.Context) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	due, err := records.Due(ctx, k.replaced, now(ctx)-int64(p.EpochGraceSeconds), maxRetired)
	if err != nil {
		return err
	}
	for _, key := range due {
		if err := k.replaced.Remove(ctx, key); err != nil {
			return err
		}
		retire := func(ctx context.Context) error { return k.retire(ctx, key.K2()) }
		entry.Attempt(ctx, types.ModuleName, "retire_committee", strconv.FormatUint(key.K2(), 10), retire) // what failed is noted and stays
	}
	return nil
}

// retire forgets a former committee that takes no deals any more, unless it has live instances.
func (k *Keeper) retire(ctx context.Context, epoch uint64) error {
	n, err := k.LiveInstances(ctx, epoch)
	if err != nil || n > 0 {
		return err
	}
	c, err := k.former.Get(ctx, epoch)
	if err != nil {
		return err
	}
	return k.forget(ctx, c)
}

// forget removes a former committee that nobody needs and what it locks.
func (k *Keeper) forget(ctx context.Context, c types.Committee) error {
	for _, m := range c.Keepers {
		if err := k.unlock(ctx, m.Operator); err != nil {
			return err
		}
	}
	return k.former.Remove(ctx, c.Epoch)
}

// loadCommittees puts those of a genesis. The queue of those that take deals is made anew; who is late in it leaves it at the end
// of the first block.
func (k *Keeper) loadCommittees(ctx context.Context, g types.GenesisState) error {
	if err := k.committee.Set(ctx, types.Committee{Epoch: g.CommitteeEpoch}); err != nil {
		return err
	}
	for _, c := range g.Committees {
		if c.Instances > 0 {
			if err := k.live.Set(ctx, c.Committee.Epoch, c.Instances); err != nil {
				return err
			}
		}
		if c.Committee.ReplacedAt == 0 {
			if err := k.committee.Set(ctx, c.Committee); err != nil {
				return err
			}
			continue
		}
		if err := k.former.Set(ctx, c.Committee.Epoch, c.Committee); err != nil {
			return err
		}
		if err := k.replaced.Set(ctx, collections.Join(c.Committee.ReplacedAt, c.Committee.Epoch)); err != nil {
			return err
		}
	}
	for _, l := range g.Locks {
		if err := k.locks.Set(ctx, l.Operator, l); err != nil {
			return err
		}
	}
	return nil
}

// saveCommittees is the reverse of loadCommittees.
func (k *Keeper) saveCommittees(ctx context.Context, g *types.GenesisState) error {
	list, err := records.All(ctx, k.former)
	if err != nil {
		return err
	}
	present, err := k.Committee(ctx)
	if err != nil {
		return err
	}
	g.CommitteeEpoch = present.Epoch
	if len(present.Keepers) > 0 {
		list = append(list, present)
	}
	for _, c := range list {
		n, err := k.LiveInstances(ctx, c.Epoch)
		if err != nil {
			return err
		}
		g.Committees = append(g.Committees, types.LiveCommittee{Committee: c, Instances: n})
	}
	g.Locks, err = records.All(ctx, k.locks)
	return err
}

// checkCommittees says what is wrong with the committees, their counts and their locks, if anything.
func (k *Keeper) checkCommittees(ctx context.Context) error {
	g := types.GenesisState{Params: types.DefaultParams()}
	if err := k.saveCommittees(ctx, &g); err != nil {
		return err
	}
	if err := g.Validate(); err != nil {
		return err
	}
	counted := 0
	for _, c := range g.Committees {
		if c.Instances > 0 {
			counted++
			continue
		}
		key := collections.Join(c.Committee.ReplacedAt, c.Committee.Epoch)
		queued, err := k.replaced.Has(ctx, key)
		if err != nil {
			return err
		}
		if c.Committee.ReplacedAt != 0 && !queued {
			return fmt.Errorf("committee %d is kept and nobody needs it", c.Committee.Epoch)
		}
	}
	return k.live.Walk(ctx, nil, func(epoch, n uint64) (bool, error) {
		counted--
		if counted < 0 || n == 0 {
			return true, fmt.Errorf("%d instances were dealt to committee %d, which is not there", n, epoch)
		}
		return false, nil
	})
}
