package keeper

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
)

// wait is a pending VM: dealt, and not seen on chain yet.
type wait struct {
	vmID    vm.ID
	owner   string
	dealtAt int64
}

// waitKey sorts an owner's pending VMs by the time of their first deals. Those of a database that was written without
// this list enter it when they are next looked at, within pendingRecheck.
func waitKey(id vm.ID, h holding) string {
	return h.Owner + "/" + checkTime(h.DealtAt) + "/" + string(id)
}

// waits lists an owner's pending VMs, oldest first.
func (v vault) waits(owner string) (list []wait, err error) {
	err = v.db.View(func(tx *store.Tx) error {
		return v.waiting.Each(tx, owner+"/", func(key string, _ []byte) error {
			list = append(list, waitOf(key))
			return nil
		})
	})
	return list, err
}

// crowded gives the oldest pending VM of the owner with most of them, and of those with as many the oldest; ok is false
// if nobody has two more than this owner: it would have the most then.
func (v vault) crowded(owner string) (oldest wait, ok bool, err error) {
	first, n := map[string]wait{}, map[string]int{}
	err = v.db.View(func(tx *store.Tx) error {
		return v.waiting.Each(tx, "", func(key string, _ []byte) error {
			w := waitOf(key)
			if n[w.owner]++; n[w.owner] == 1 {
				first[w.owner] = w
			}
			return nil
		})
	})
	for of, w := range first {
		more, same := n[of] > n[oldest.owner], n[of] == n[oldest.owner]
		if more || same && (w.dealtAt < oldest.dealtAt || w.dealtAt == oldest.dealtAt && of < oldest.owner) {
			oldest = w
		}
	}
	return oldest, n[oldest.owner] > n[owner]+1, err
}

func waitOf(key string) wait {
	owner, rest, _ := strings.Cut(key, "/")
	at, id, _ := strings.Cut(rest, "/")
	return wait{vmID: vm.ID(id), owner: owner, dealtAt: unixOf(at)}
}

// yield erases a pending VM, unless it is no more what it was.
func (v vault) yield(w wait) (gone bool, err error) {
	err = v.change(w.vmID, func(h *holding) bool {
		gone = h.Pending && h.DealtAt == w.dealtAt
		return !gone
	})
	return gone && err == nil, err
}

// room makes room for a deal of the owner that was refused for this reason, and says whether there may be some now. The
// caller holds no lock of a VM.
func (k *Keeper) room(ctx context.Context, owner string, refused error) (freed bool, err error) {
	var list []wait
	yields := k.set.Limits.YieldAfter
	switch {
	case errors.Is(refused, errPending):
		oldest, ok, err := k.vault.crowded(owner)
		if err != nil {
			return false, k.broken("list pending", "", err)
		}
		if ok {
			list, yields = []wait{oldest}, 0
		}
	case errors.Is(refused, errOwnerPending), errors.Is(refused, errUncovered):
		if list, err = k.vault.waits(owner); err != nil {
			return false, k.broken("list pending", "", err)
		}
	}
	if len(list) == 0 {
		return false, nil
	}
	now, err := k.set.Chain.Time(ctx)
	if err != nil {
		return false, k.chainDown("time", err)
	}
	// What was ordered meanwhile, or lapsed, is pending no more. Nothing that the chain has may give way.
	for _, w := range list {
		if err := k.sweepOne(ctx, w.vmID, now); err != nil {
			return false, k.chainDown("vm", err)
		}
		h, held, err := k.vault.holding(w.vmID)
		if err != nil {
			return false, k.broken("read", w.vmID, err)
		}
		freed = freed || !held || !h.Pending
	}
	if freed {
		return true, nil
	}
	oldest := list[0]
	if now.Sub(time.Unix(oldest.dealtAt, 0)) < yields {
		return false, nil
	}
	gone, err := k.vault.yield(oldest)
	if err != nil {
		return false, k.broken("make room", oldest.vmID, err)
	}
	if gone {
		k.set.Log.Info("shares erased", "vm_id", oldest.vmID, "reason", "not on chain, and gave way to another deal")
	}
	return true, nil
}
