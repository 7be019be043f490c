package miner

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
)

// A miner that restarts registers again only if there is news: it costs a fee. That it drains is none.
func TestSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(have *registryv1.Miner)
		says   bool
	}{
		"the same": {func(*registryv1.Miner) {}, true},
		"draining": {func(m *registryv1.Miner) { m.Status = registryv1.MinerStatus_MINER_STATUS_DRAINING }, true},
		"gone":     {func(m *registryv1.Miner) { m.Status = registryv1.MinerStatus_MINER_STATUS_GONE }, false},
		"version":  {func(m *registryv1.Miner) { m.Version = "v1" }, false},
		"region":   {func(m *registryv1.Miner) { m.Region = "eu" }, false},
		"cores":    {func(m *registryv1.Miner) { m.Capacity.Cores = 2 }, false},
		"speed":    {func(m *registryv1.Miner) { m.Capacity.DiskWriteBytesPerSecond = 2 }, true},
	} {
		have := &registryv1.Miner{Name: "rack-1", Status: registryv1.MinerStatus_MINER_STATUS_ACTIVE, Version: "v2", Capacity: &registryv1.Capacity{Cores: 4}}
		want := &registryv1.MsgRegisterMiner{Name: "rack-1", Version: "v2", Capacity: &registryv1.Capacity{Cores: 4}}
		c.change(have)
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
		have := &registryv1.Miner{Status: registryv1.MinerStatus_MINER_STATUS_UNBONDING, UnbondingUntil: 1_800_000_000}
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
		have.Status = registryv1.MinerStatus_MINER_STATUS_GONE
		if err := leaving(have); err != nil {
			t.Errorf("one that left may not come again: %v", err)
		}
	})
}
