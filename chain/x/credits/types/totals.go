package types

import "github.com/hippius/compute/core/credit"

// Books are the totals as the rules know them.
func (t Totals) Books() credit.Books {
	return credit.Books{
		Bought:    t.BoughtUcredit,
		Consumed:  t.ConsumedUcredit,
		Reserve:   t.ReserveUhip,
		Deposited: t.DepositedUhip,
		Released:  t.ReleasedUhip,
		Miners:    t.ReleasedMinersUhip,
		Stakers:   t.ReleasedStakersUhip,
		Treasury:  t.ReleasedTreasuryUhip,
	}
}

// TotalsOf is the state that stands for the books.
func TotalsOf(b credit.Books) Totals {
	return Totals{
		BoughtUcredit:        b.Bought,
		ConsumedUcredit:      b.Consumed,
		ReserveUhip:          b.Reserve,
		DepositedUhip:        b.Deposited,
		ReleasedUhip:         b.Released,
		ReleasedMinersUhip:   b.Miners,
		ReleasedStakersUhip:  b.Stakers,
		ReleasedTreasuryUhip: b.Treasury,
	}
}
