package miner

import (
	"context"
	"time"

	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/internal/observe"
)

// watchStatus notes what the chain says of this miner, as often as it is reported to, until ctx ends: an operator drains
// a miner from another process, and the metrics and the log are to tell.
func (m *miner) watchStatus(ctx context.Context) {
	every := time.NewTicker(m.set.Timing.ReportEvery)
	defer every.Stop()
	for {
		if have, err := m.chain.Miner(ctx, m.sender.Address()); err == nil {
			m.noteStatus(have.Status)
		} else if ctx.Err() == nil {
			m.log.Debug("ask for the miner's status", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

func (m *miner) noteStatus(now node.MinerStatus) {
	if m.status.Swap(int32(now)) != int32(now) {
		m.log.Info("status on chain changed", "status", now.String())
	}
}

// statuses are the metrics of the status.
func (m *miner) statuses() map[string]float64 {
	out := map[string]float64{}
	for s := node.Active; s <= node.Gone; s++ {
		out[s.String()] = observe.Flag(m.status.Load() == int32(s))
	}
	return out
}
