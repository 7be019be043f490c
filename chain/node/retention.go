package node

import (
	"time"

	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/hippius/compute/chain/app"
)

// maxPrunedBlocks bounds the blocks dropped after one block: a node whose settings changed drops its history bit by bit.
const maxPrunedBlocks = 100

// retainBlocks is how many blocks are kept at least by the settings; 0 for all.
func (c *Config) retainBlocks() uint64 {
	if c.KeepBlocks == 0 {
		return 0
	}
	// Whoever starts from the oldest snapshot fetches the blocks after it.
	needed := c.SnapshotInterval * uint64(c.SnapshotsKept+1)
	return max(uint64(c.KeepBlocks/c.BlockTime), needed)
}

// retention decides up to which height CometBFT may drop blocks.
type retention struct {
	base func() int64
	meta func(height int64) *cmttypes.BlockMeta
	// evidenceAge is how old evidence of double signing may be.
	evidenceAge func() (time.Duration, error)
}

// height is the first block to keep: at most asked, which is the SDK's answer by number of blocks. Evidence is good until
// it is too old both by number and by time, and CometBFT never drops what it kept for evidence when the block went, so
// blocks stay until their evidence is too old by both.
func (r *retention) height(asked int64, now time.Time) (int64, error) {
	base := r.base()
	if asked <= base {
		return 0, nil
	}
	age, err := r.evidenceAge()
	if err != nil {
		return 0, err
	}
	to := min(asked, base+maxPrunedBlocks)
	for h := base; h < to; h++ {
		if m := r.meta(h); m != nil && now.Sub(m.Header.Time) <= age {
			return h, nil
		}
	}
	return to, nil
}

// evidenceAge reads it from the parameters in force.
func evidenceAge(a *app.App) (time.Duration, error) {
	ctx, err := a.CreateQueryContext(0, false)
	if err != nil {
		return 0, err
	}
	p, err := a.Keepers.Consensus.ParamsStore.Get(ctx)
	if err != nil || p.Evidence == nil {
		return 0, err
	}
	return p.Evidence.MaxAgeDuration, nil
}
