package types

import "github.com/hippius/compute/core/credit"

// Books are the totals as the rules know them.
func (t Totals) Books() credit.Books {
	return credit.Books{
		Bought:    t.BoughtUcredit,
		Consumed:  t.ConsumedUcredit,
		Reserve:   t.ReserveUhip,
		Buffer:    t.BufferUhip,
		Deposited: t.DepositedUhip,
		Added:     t.AddedUhip,
		Spent:     t.SpentUhip,
		Fees:      t.FeesUhip,
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
		BufferUhip:           b.Buffer,
		DepositedUhip:        b.Deposited,
		AddedUhip:            b.Added,
		SpentUhip:            b.Spent,
		FeesUhip:             b.Fees,
		ReleasedUhip:         b.Released,
		ReleasedMinersUhip:   b.Miners,
		ReleasedStakersUhip:  b.Stakers,
		ReleasedTreasuryUhip: b.Treasury,
	}
}

// Core is the balance as the rules know it.
func (b Balance) Core() credit.Balance {
	return credit.Balance{Ucredit: b.Ucredit, FeesSincePurchase: b.FeesSincePurchase, Backing: b.BackingUhip}
}

// BalanceOf is the state that stands for an account's balance.
func BalanceOf(address string, b credit.Balance) Balance {
	return Balance{Address: address, Ucredit: b.Ucredit, FeesSincePurchase: b.FeesSincePurchase, BackingUhip: b.Backing}
}

// CorePrices are prices as the rules know them.
func CorePrices(list []Price) credit.Prices {
	out := make(credit.Prices, 0, len(list))
	for _, p := range list {
		out = append(out, credit.Price{Since: p.Since, UhipPerCredit: p.UhipPerCredit})
	}
	return out
}

// PricesOf is the state that stands for prices.
func PricesOf(list credit.Prices) []Price {
	out := make([]Price, 0, len(list))
	for _, p := range list {
		out = append(out, Price{Since: p.Since, UhipPerCredit: p.UhipPerCredit})
	}
	return out
}
