package devnet

import (
	"context"
	"fmt"

	"github.com/hippius/compute/core/credit"
)

// Audit checks the books of the whole network to the last unit: every credit
// bought is consumed or held, every coin released is somebody's, and the
// miners' share is what their earnings say.
func (n *Net) Audit(ctx context.Context) (credit.Books, error) {
	b, err := n.chain.Books(ctx)
	if err != nil {
		return b, err
	}
	if err := b.Check(); err != nil {
		return b, err
	}
	var earned uint64
	for _, m := range n.miners {
		e, err := n.chain.Earnings(ctx, m.operator.address())
		if err != nil {
			return b, err
		}
		earned += e.AccruedUhip + e.ClaimedUhip
	}
	if earned != b.Miners {
		return b, fmt.Errorf("miners earned %d uhip, released for miners are %d", earned, b.Miners)
	}
	return b, nil
}
