package keeper

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
)

func (w *world) sweep() {
	w.t.Helper()
	require.NoError(w.t, w.keeper.Sweep(w.t.Context()))
}

func TestDealNotOnChainInTimeIsDropped(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.deal(w.instance(1)))
	for range 9 {
		w.chain.advance(time.Minute)
		w.sweep()
		require.True(t, w.holds())
	}
	w.chain.advance(time.Minute)
	w.sweep()
	require.False(t, w.holds())
	w.requireEmpty()
}

func TestDealOnChainStays(t *testing.T) {
	w := newWorld(t)
	one, two := w.instance(1), w.instance(2)
	require.NoError(t, w.deal(one, two))
	v := w.order(one)
	w.chain.advance(30 * time.Second)
	w.sweep()
	h, ok, err := w.keeper.vault.holding(w.vmID)
	require.NoError(t, err)
	require.True(t, ok)
	require.False(t, h.Pending)
	w.chain.advance(10 * time.Minute)
	w.sweep()
	h, _, err = w.keeper.vault.holding(w.vmID)
	require.NoError(t, err)
	require.Contains(t, h.Parts, uint32(1))
	require.NotContains(t, h.Parts, uint32(2), "the instance that the chain did not take")

	v.Status.Phase = vm.Terminated
	w.chain.advance(2 * time.Hour)
	w.sweep()
	require.False(t, w.holds())
	w.requireEmpty()
}

// While the chain stands still or cannot be asked nothing lapses.
func TestSweepBelievesOnlyTheChain(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.deal(w.instance(1)))
	w.chain.down = true
	require.ErrorIs(t, w.keeper.Sweep(t.Context()), errDown)
	w.chain.down = false
	w.sweep()
	require.True(t, w.holds())
}

func TestVMGoneFromChainIsErasedSlowly(t *testing.T) {
	w := newWorld(t)
	d := w.instance(1)
	require.NoError(t, w.deal(d))
	w.order(d)
	w.sweep()
	w.chain.mu.Lock()
	delete(w.chain.vms, w.vmID)
	w.chain.mu.Unlock()
	w.chain.advance(2 * time.Hour)
	w.sweep()
	w.chain.advance(23 * time.Hour)
	w.sweep()
	require.True(t, w.holds(), "one node's memory loss does not erase")
	w.chain.advance(2 * time.Hour)
	w.sweep()
	require.False(t, w.holds())
}

func TestRunSweeps(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.deal(w.instance(1)))
	w.chain.advance(11 * time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.keeper.Run(ctx, time.Millisecond) }()
	require.Eventually(t, func() bool { return !w.holds() }, 30*time.Second, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

// requireEmpty says that nothing of anything is left on the books.
func (w *world) requireEmpty() {
	w.t.Helper()
	v := w.keeper.vault
	require.NoError(w.t, v.db.View(func(tx *store.Tx) error {
		c, _, err := v.totals.Get(tx, totalsKey)
		require.NoError(w.t, err)
		require.Equal(w.t, Counts{}, c)
		none := func(key string, _ []byte) error {
			w.t.Errorf("left behind: %q", key)
			return nil
		}
		require.NoError(w.t, v.bundles.Each(tx, "", none))
		require.NoError(w.t, v.userData.Each(tx, "", none))
		require.NoError(w.t, v.checks.Each(tx, "", none))
		require.NoError(w.t, v.waiting.Each(tx, "", none))
		return v.pending.Each(tx, "", func(key string, _ int) error {
			w.t.Errorf("left behind: %q", key)
			return nil
		})
	}))
}
