package miner

import (
	"context"
	"strings"
	"time"

	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	"github.com/hippius/compute/internal/observe"
)

// watchStatus notes what the chain says of this miner, as often as it is reported to, until ctx ends: an operator drains
// a miner from another process, and the figures and the log are to tell.
func (m *miner) watchStatus(ctx context.Context) {
	every := time.NewTicker(m.set.Timing.ReportEvery)
	defer every.Stop()
	for {
		if have, err := m.chain.Miner(ctx, m.sender.Address()); err == nil {
			m.noteStatus(have.GetStatus())
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

func (m *miner) noteStatus(now registryv1.MinerStatus) {
	if was := registryv1.MinerStatus(m.status.Swap(int32(now))); was != now {
		m.log.Info("the chain says of this miner", "status", StatusWord(now))
	}
}

// statuses are the figures of the status.
func (m *miner) statuses() map[string]float64 {
	now := registryv1.MinerStatus(m.status.Load())
	out := map[string]float64{}
	for number := range registryv1.MinerStatus_name {
		if s := registryv1.MinerStatus(number); s != registryv1.MinerStatus_MINER_STATUS_UNSPECIFIED {
			out[StatusWord(s)] = observe.Flag(s == now)
		}
	}
	return out
}

// StatusWord is a miner's status in a sentence.
func StatusWord(s registryv1.MinerStatus) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "MINER_STATUS_"))
}
