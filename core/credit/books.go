package credit

import (
	"errors"
	"fmt"
	"math"
)

// Shares say who gets what is released, in parts of Parts.
type Shares struct {
	Miner, Stakers, Treasury uint32
}

// DefaultShares are 60 % to the miner that served, 30 % to validators and stakers, 10 % to the treasury.
func DefaultShares() Shares { return Shares{Miner: 6000, Stakers: 3000, Treasury: 1000} }

// Validate checks that the shares make a whole.
func (s Shares) Validate() error {
	if sum := uint64(s.Miner) + uint64(s.Stakers) + uint64(s.Treasury); sum != Parts {
		return fmt.Errorf("the shares sum to %d; they must sum to %d", sum, Parts)
	}
	return nil
}

// Release is what one consumption releases from the reserve and where it goes, in uhip.
type Release struct {
	Uhip, Miner, Stakers, Treasury uint64
}

// Split divides uhip by the shares. Miner and stakers are rounded down and the
// dust goes to the treasury; what no miner served goes to the stakers.
func (s Shares) Split(uhip uint64, served bool) Release {
	// Both quotients are at most uhip: shares are at most Parts.
	miner := mulDivCap(uhip, uint64(s.Miner), Parts, uhip)
	stakers := min(mulDivCap(uhip, uint64(s.Stakers), Parts, uhip), uhip-miner)
	r := Release{Uhip: uhip, Miner: miner, Stakers: stakers, Treasury: uhip - miner - stakers}
	if !served {
		r.Stakers += r.Miner
		r.Miner = 0
	}
	return r
}

// Books are the totals of the credit system. Every field but Reserve only rises.
type Books struct {
	// Bought and Consumed in ucredit; what lies between is outstanding.
	Bought, Consumed uint64
	// Reserve, Deposited and Released in uhip.
	Reserve, Deposited, Released uint64
	// Miners, Stakers and Treasury are what was released to each, in uhip.
	Miners, Stakers, Treasury uint64
}

// Outstanding is what all accounts hold together, in ucredit.
func (b Books) Outstanding() uint64 { return b.Bought - b.Consumed }

// Check says which invariant the books violate, if any.
func (b Books) Check() error {
	switch {
	case b.Consumed > b.Bought:
		return fmt.Errorf("%d ucredit consumed but only %d bought", b.Consumed, b.Bought)
	case b.Released > b.Deposited || b.Deposited-b.Released != b.Reserve:
		return fmt.Errorf("reserve %d uhip, but %d deposited less %d released", b.Reserve, b.Deposited, b.Released)
	}
	sum, err := add(b.Miners, b.Stakers)
	if err == nil {
		sum, err = add(sum, b.Treasury)
	}
	if err != nil || sum != b.Released {
		return fmt.Errorf("%d uhip released, but %d + %d + %d given out", b.Released, b.Miners, b.Stakers, b.Treasury)
	}
	return nil
}

// Buy books a deposit of uhip for ucredit.
func (b *Books) Buy(uhip, ucredit uint64) error {
	return addTo(
		counter{"bought", &b.Bought, ucredit},
		counter{"reserve", &b.Reserve, uhip},
		counter{"deposited", &b.Deposited, uhip},
	)
}

// Consume books ucredit as used and releases from the reserve the lesser of
// their worth at the price and their part of the reserve. Whatever the price
// did meanwhile, the reserve is not overdrawn, and nobody gains by consuming
// own credits after a rise. The rest stays in the reserve as a buffer.
func (b *Books) Consume(ucredit, price uint64, shares Shares, served bool) (Release, error) {
	out := b.Outstanding()
	if ucredit > out {
		return Release{}, fmt.Errorf("consume %d ucredit of %d outstanding", ucredit, out)
	}
	if err := shares.Validate(); err != nil {
		return Release{}, err
	}
	if ucredit == 0 {
		return Release{}, nil
	}
	// ucredit <= out, so the part is at most the reserve.
	part, err := mulDiv(b.Reserve, ucredit, out)
	if err != nil {
		return Release{}, err
	}
	r := shares.Split(mulDivCap(ucredit, price, PerCredit, part), served)
	// Released never exceeds Deposited, so only Consumed could not fit, and it is at most Bought.
	err = addTo(
		counter{"consumed", &b.Consumed, ucredit},
		counter{"released", &b.Released, r.Uhip},
		counter{"miners", &b.Miners, r.Miner},
		counter{"stakers", &b.Stakers, r.Stakers},
		counter{"treasury", &b.Treasury, r.Treasury},
	)
	if err != nil {
		return Release{}, err
	}
	b.Reserve -= r.Uhip
	return r, nil
}

// Coverage is what the reserve is worth at the price over what is outstanding,
// in parts of Parts, rounded down; MaxUint64 when nothing is outstanding.
func (b Books) Coverage(price uint64) (uint64, error) {
	if price == 0 {
		return 0, errors.New("the price of a credit is 0 uhip; it must be at least 1")
	}
	if b.Outstanding() == 0 {
		return math.MaxUint64, nil
	}
	// Multiplying by Parts first would overflow sooner; saturate instead.
	worth := mulDivCap(b.Reserve, PerCredit, price, math.MaxUint64)
	return mulDivCap(worth, Parts, b.Outstanding(), math.MaxUint64), nil
}
