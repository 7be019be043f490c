package miner

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/core/node"
)

// A miner that restarts registers again only if there is news: it costs a fee. That it drains is none.
func TestSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(have *node.Miner)
		says   bool
	}{
		"the same": {func(*node.Miner) {}, true},
		"draining": {func(m *node.Miner) { m.Status = node.Draining }, true},
		"gone":     {func(m *node.Miner) { m.Status = node.Gone }, false},
		"version":  {func(m *node.Miner) { m.Version = "v1" }, false},
		"region":   {func(m *node.Miner) { m.Region = "eu" }, false},
		"cores":    {func(m *node.Miner) { m.Capacity.Cores = 2 }, false},
		"speed":    {func(m *node.Miner) { m.Hardware.DiskWriteBytesPerSecond = 2 }, true},
	} {
		want := node.Offer{Name: "rack-1", Version: "v2", Capacity: node.Capacity{Cores: 4}}
		have := node.Miner{Offer: want, Status: node.Active}
		c.change(&have)
		if got := says(have, want); got != c.says {
			t.Errorf("%s: %v, want %v", name, got, c.says)
		}
	}
}

// A miner that is refused tries again; one whose operator has asked for the bond does not, or it would bond anew what came
// back.
func TestLeavingMinerIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		have := node.Miner{Status: node.Unbonding, UnbondingUntil: 1_800_000_000}
		tries := 0
		untilSettled(ctx, func() error {
			tries++
			if tries < 3 {
				return errNotRegistered
			}
			return leaving(have)
		})
		if err := leaving(have); tries != 3 || !errors.Is(err, errLeaving) || !strings.Contains(err.Error(), "15 Jan 2027") {
			t.Errorf("after %d tries: %v", tries, err)
		}
		have.Status = node.Gone
		if err := leaving(have); err != nil {
			t.Errorf("one that left may not come again: %v", err)
		}
	})
}
