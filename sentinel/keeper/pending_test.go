package keeper

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/peer"
	"github.com/hippius/compute/internal/store"
)

// next takes another VM of the present owner.
func (w *world) next() {
	w.t.Helper()
	w.nonce = random(16)
	id, err := vm.NewID(w.owner.Address(), w.nonce)
	require.NoError(w.t, err)
	w.vmID = id
}

// another takes a VM of an owner that was not there before.
func (w *world) another() {
	w.t.Helper()
	w.owner = newWallet(w.t)
	w.next()
}

func (w *world) pending() int {
	w.t.Helper()
	c, err := w.keeper.Counts()
	require.NoError(w.t, err)
	return c.Pending
}

// Dealing again and again holds no pending place longer than dealing once, also over restarts.
func TestDealingAgainDoesNotRenew(t *testing.T) {
	w := newWorld(t)
	d := w.instance(1)
	require.NoError(t, w.deal(d))
	for range 5 {
		w.chain.advance(time.Minute)
		require.NoError(t, w.deal(d, w.instance(2)))
		w.stop()
		w.start()
		w.sweep()
		require.True(t, w.holds())
	}
	w.chain.advance(time.Minute)
	requireCode(t, w.deal(d), codes.FailedPrecondition, "ends in 240 s: deal another VM, or this one after that")
	w.chain.advance(4 * time.Minute)
	w.sweep()
	require.False(t, w.holds(), "ten minutes after the first deal")
	w.requireEmpty()

	require.NoError(t, w.deal(d), "a new deal of the same instance")
	w.chain.advance(9 * time.Minute)
	w.sweep()
	require.True(t, w.holds())
}

// A deal that lapsed is a new one if it is dealt again before the sweep; nothing of the old one stays.
func TestLapsedDealIsDealtAnew(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.deal(w.instance(1), w.instance(2)))
	w.chain.advance(10 * time.Minute)
	require.NoError(t, w.deal(w.instance(1)))
	h, _, err := w.keeper.vault.holding(w.vmID)
	require.NoError(t, err)
	require.Len(t, h.Parts, 1)
	require.Equal(t, 1, w.pending())
	w.chain.advance(9 * time.Minute)
	w.sweep()
	require.True(t, w.holds())
	w.chain.advance(time.Minute)
	w.sweep()
	w.requireEmpty()
}

// What the chain has is dealt to as long as the VM lives.
func TestOrderedDealIsRenewed(t *testing.T) {
	w := newWorld(t)
	one, two := w.instance(1), w.instance(2)
	require.NoError(t, w.deal(one))
	w.order(one)
	for range 4 {
		w.chain.advance(8 * time.Minute)
		require.NoError(t, w.deal(two))
		w.sweep()
		h, _, err := w.keeper.vault.holding(w.vmID)
		require.NoError(t, err)
		require.Len(t, h.Parts, 2)
	}
}

// A few accounts that hold all pending places lose some to others.
func TestFullPendingIsShared(t *testing.T) {
	const owners, each = 64, 4
	w := newWorld(t, func(l *Limits) { l.PendingPerOwner, l.Pending = each, owners*each })
	var first vm.ID
	for i := range owners {
		w.another()
		for j := range each {
			if j > 0 {
				w.next()
			}
			require.NoError(t, w.hand(w.instance(1)), "deal %d of owner %d", j, i)
			if first == "" {
				first = w.vmID
			}
			w.chain.advance(time.Second)
		}
	}
	require.Equal(t, owners*each, w.pending())
	w.another()
	require.NoError(t, w.hand(w.instance(1)), "the 65th owner is served")
	require.True(t, w.holds())
	require.Equal(t, owners*each, w.pending())
	_, held, err := w.keeper.vault.holding(first)
	require.NoError(t, err)
	require.False(t, held, "the oldest gave way")
}

// With as many as the others an owner takes no place from them.
func TestNobodyGivesWayToEquals(t *testing.T) {
	w := newWorld(t, func(l *Limits) { l.Pending = 4 })
	for range 2 {
		w.another()
		require.NoError(t, w.hand(w.instance(1)))
		w.next()
		require.NoError(t, w.hand(w.instance(1)))
	}
	w.another()
	require.NoError(t, w.hand(w.instance(1)))
	w.next()
	requireCode(t, w.hand(w.instance(1)), codes.ResourceExhausted, "all pending places are taken")
	require.Equal(t, 4, w.pending())
}

// An owner without balance takes no place among those whose pace is remembered.
func TestPoorOwnersTakeNoPace(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.another()
		w.chain.poor[w.owner.Address()] = true
		requireCode(t, w.deal(w.instance(1)), codes.PermissionDenied, "not the credits")
		require.Empty(t, w.keeper.owners.owners, "after %d", i)
	}
}

func TestFullPaceForgetsTheIdlest(t *testing.T) {
	now := time.Now()
	p := newPace(3, func() time.Time { return now })
	for i := range maxPaced {
		p.enter(fmt.Sprint(i))
		if i != 77 {
			p.enter(fmt.Sprint(i))
		}
	}
	require.True(t, p.enter("one more"), "a full table refuses nobody")
	require.Len(t, p.owners, maxPaced)
	require.NotContains(t, p.owners, "77")
}

// One balance holds no more pending places than VMs could be created with it.
func TestBalanceCoversWhatIsPending(t *testing.T) {
	w := newWorld(t, func(l *Limits) { l.Uncovered = 0 })
	w.chain.covers[w.owner.Address()] = 2
	first := w.vmID
	require.NoError(t, w.hand(w.instance(1)))
	w.chain.advance(time.Second)
	w.next()
	d := w.instance(1)
	require.NoError(t, w.hand(d))
	second := w.vmID
	w.next()
	requireCode(t, w.hand(w.instance(1)), codes.Unavailable, "credits do not cover one more VM")
	require.Equal(t, 2, w.pending())

	// What was ordered frees its part at once, not at the next sweep.
	w.vmID = second
	w.order(d)
	w.next()
	require.NoError(t, w.hand(w.instance(1)))
	w.next()
	requireCode(t, w.hand(w.instance(1)), codes.Unavailable, "credits do not cover one more VM")

	// An order that failed does not keep its owner waiting: its deal gives way to the next one.
	w.chain.advance(time.Minute)
	require.NoError(t, w.hand(w.instance(1)))
	require.Equal(t, 2, w.pending())
	_, held, err := w.keeper.vault.holding(first)
	require.NoError(t, err)
	require.False(t, held)
	_, held, err = w.keeper.vault.holding(second)
	require.NoError(t, err)
	require.True(t, held, "it is on chain")
}

// Deals at the same time are not each covered by the whole balance.
func TestBalanceCoversDealsAtOnce(t *testing.T) {
	w := newWorld(t, func(l *Limits) { l.Uncovered = 0 })
	w.chain.covers[w.owner.Address()] = 3
	var list []*keeperv1.DealRequest
	for range 12 {
		w.next()
		list = append(list, w.request(w.instance(1)))
	}
	var took atomic.Int32
	var wg sync.WaitGroup
	for _, r := range list {
		wg.Go(func() {
			if _, err := w.keeper.Deal(peer.InProcess(t.Context(), w.client), r); err == nil {
				took.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 3, took.Load())
	require.Equal(t, 3, w.pending())
}

// What is on chain gives way to nobody, also if the keeper has not seen it there yet.
func TestOrderedGivesNoWay(t *testing.T) {
	w := newWorld(t, func(l *Limits) { l.Pending = 3 })
	d := w.instance(1)
	require.NoError(t, w.hand(d))
	ordered := w.vmID
	w.order(d)
	w.chain.advance(time.Second)
	for range 2 {
		w.next()
		require.NoError(t, w.hand(w.instance(1)))
	}
	w.another()
	require.NoError(t, w.hand(w.instance(1)))
	require.Equal(t, 3, w.pending())
	h, held, err := w.keeper.vault.holding(ordered)
	require.NoError(t, err)
	require.True(t, held)
	require.False(t, h.Pending)
}

// A database from before pending VMs were listed by owner opens, and they are listed when they are looked at.
func TestOlderPendingIsListed(t *testing.T) {
	w := newWorld(t, func(l *Limits) { l.Pending = 2 })
	for range 2 {
		w.next()
		require.NoError(t, w.hand(w.instance(1)))
	}
	owner, v := w.owner.Address(), w.keeper.vault
	list, err := v.waits(owner)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.NoError(t, v.db.Update(func(tx *store.Tx) error {
		for _, one := range list {
			if err := v.waiting.Delete(tx, waitKey(one.vmID, holding{Owner: owner, DealtAt: one.dealtAt})); err != nil {
				return err
			}
		}
		return nil
	}))
	w.stop()
	w.start()
	w.another()
	requireCode(t, w.hand(w.instance(1)), codes.ResourceExhausted, "all pending places are taken")
	w.chain.advance(pendingRecheck)
	w.sweep()
	require.NoError(t, w.hand(w.instance(1)))
	w.chain.advance(10 * time.Minute)
	w.sweep()
	w.requireEmpty()
}

// A few VMs may be pending whatever the balance covers: a tenant with little orders several at once, and orders fail.
func TestFewPendingNeedNoCover(t *testing.T) {
	w := newWorld(t)
	w.chain.covers[w.owner.Address()] = 1
	for range DefaultLimits().Uncovered {
		require.NoError(t, w.hand(w.instance(1)))
		w.next()
	}
	requireCode(t, w.hand(w.instance(1)), codes.Unavailable, "credits do not cover one more VM")
	require.Equal(t, DefaultLimits().Uncovered, w.pending())
}
