package devnet

import (
	"context"
	"fmt"
)

// Audit checks the books of the whole network to the last unit: every credit
// bought is consumed or held, every coin released is somebody's, and the
// miners' share is what their earnings say.
func (n *Net) Audit(ctx context.Context) error {
	resp, err := n.chain.Totals(ctx)
	if err != nil {
		return err
	}
	t := resp.GetTotals()
	if sum := t.GetReleasedMinersUhip() + t.GetReleasedStakersUhip() + t.GetReleasedTreasuryUhip(); sum != t.GetReleasedUhip() {
		return fmt.Errorf("released are %d uhip, split are %d", t.GetReleasedUhip(), sum)
	}
	if t.GetDepositedUhip() != t.GetReserveUhip()+t.GetReleasedUhip() {
		return fmt.Errorf("deposited are %d uhip; reserve and released make %d", t.GetDepositedUhip(), t.GetReserveUhip()+t.GetReleasedUhip())
	}
	var earned uint64
	for _, m := range n.miners {
		e, err := n.chain.Earnings(ctx, m.operator.address())
		if err != nil {
			return err
		}
		earned += e.GetAccruedUhip() + e.GetClaimedUhip()
	}
	if earned != t.GetReleasedMinersUhip() {
		return fmt.Errorf("miners earned %d uhip, released for miners are %d", earned, t.GetReleasedMinersUhip())
	}
	return nil
}
