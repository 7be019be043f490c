package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
)

type headRange = collections.Range[int64]

// ready is the class of VMs that were not tried since they arrived. The other
// classes hold those that no miner has the capacity for, alike in all that placement asks.
const ready = ""

// maxPlace bounds how far a place in the queue is counted.
const maxPlace = 1000

// enqueue puts a VM at the end of a class, and nowhere else.
func (k *Keeper) enqueue(ctx context.Context, id, class string) error {
	if err := k.dequeue(ctx, id); err != nil {
		return err
	}
	seq, err := records.OrZero(k.queueSeq.Get(ctx))
	if err != nil {
		return err
	}
	if err := k.queueSeq.Set(ctx, seq+1); err != nil {
		return err
	}
	if err := k.queue.Set(ctx, collections.Join3(class, seq, id)); err != nil {
		return err
	}
	return k.queued.Set(ctx, collections.Join3(id, class, seq))
}

// place of a VM in the queue, if it is there.
func (k *Keeper) position(ctx context.Context, id string) (at queuedKey, found bool, err error) {
	err = k.queued.Walk(ctx, new(collections.Range[queuedKey]).Prefix(collections.TriplePrefix[string, string, uint64](id)),
		func(key queuedKey) (bool, error) {
			at, found = key, true
			return true, nil
		})
	return at, found, err
}

// dequeue takes a VM out of the queue if it is there.
func (k *Keeper) dequeue(ctx context.Context, id string) error {
	at, found, err := k.position(ctx, id)
	if err != nil || !found {
		return err
	}
	if err := k.queue.Remove(ctx, collections.Join3(at.K2(), at.K3(), id)); err != nil {
		return err
	}
	if err := k.queued.Remove(ctx, at); err != nil {
		return err
	}
	if at.K2() == ready {
		return nil
	}
	if _, waits, err := k.headOf(ctx, at.K2()); err != nil || waits {
		return err
	}
	return k.searches.Remove(ctx, at.K2()) // nobody of the class waits any more
}

// queuePlace counts a waiting VM's place in its class, from 1; 0 if it does not wait.
func (k *Keeper) queuePlace(ctx context.Context, id string) (uint32, error) {
	at, found, err := k.position(ctx, id)
	if err != nil || !found {
		return 0, err
	}
	n := uint32(0)
	err = k.queue.Walk(ctx, new(collections.Range[queueKey]).Prefix(collections.TriplePrefix[string, uint64, string](at.K2())),
		func(key queueKey) (bool, error) {
			n++
			return key.K3() == id || n >= maxPlace, nil
		})
	return n, err
}

// first VM at or after a class, if there is one.
func (k *Keeper) first(ctx context.Context, class string) (key queueKey, found bool, err error) {
	err = k.queue.Walk(ctx, new(collections.Range[queueKey]).StartInclusive(collections.TriplePrefix[string, uint64, string](class)),
		func(at queueKey) (bool, error) {
			key, found = at, true
			return true, nil
		})
	return key, found, err
}

// headOf is the VM of a class that waits for longest, if one waits.
func (k *Keeper) headOf(ctx context.Context, class string) (id string, waits bool, err error) {
	at, found, err := k.first(ctx, class)
	if err != nil || !found || at.K1() != class {
		return "", false, err
	}
	return at.K3(), true, nil
}

// classOf names everything that placement asks of a miner for a VM, so that
// where one of a class finds no miner, none does.
func classOf(v *types.VM, excluded []string) string {
	d := v.Core().Demand()
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %d %q %q %q %q",
		d.VCPUs, d.MemoryMiB, d.DiskGiB, v.Spec.Region, v.Arch, sorted(v.Spec.Miners), sorted(excluded)))
	return hex.EncodeToString(sum[:8])
}

func sorted(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return strings.Join(list, ",")
}
