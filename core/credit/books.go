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

// Books are the totals of the credit system. Every field but Reserve and Buffer only rises.
type Books struct {
	// Bought and Consumed in ucredit; what lies between is outstanding.
	Bought, Consumed uint64
	// Reserve is what all accounts' backings and the buffer are together, in uhip.
	Reserve uint64
	// Buffer is the part of the reserve that backs no account's credits: what consuming did not release, and what was
	// added to the reserve. Its use is governance's.
	Buffer uint64
	// Deposited to buy, Added to the buffer by anyone, Spent from the buffer by governance, Fees paid in coins; in uhip.
	Deposited, Added, Spent, Fees uint64
	// Released in all by consuming and by fees paid in coins, and of this to Miners, Stakers and Treasury, in uhip.
	Released, Miners, Stakers, Treasury uint64
}

// Outstanding is what all accounts hold together, in ucredit.
func (b Books) Outstanding() uint64 { return b.Bought - b.Consumed }

// Backing is what backs all accounts' credits together, in uhip.
func (b Books) Backing() uint64 { return b.Reserve - b.Buffer }

// Check says which invariant the books violate, if any.
func (b Books) Check() error {
	if b.Consumed > b.Bought {
		return fmt.Errorf("%d ucredit consumed but only %d bought", b.Consumed, b.Bought)
	}
	in, err1 := addAll(b.Deposited, b.Added, b.Fees)
	out, err2 := addAll(b.Released, b.Spent)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if out > in || in-out != b.Reserve {
		return fmt.Errorf("reserve %d uhip, but %d paid in less %d paid out", b.Reserve, in, out)
	}
	if b.Buffer > b.Reserve {
		return fmt.Errorf("buffer %d uhip, but the reserve is only %d", b.Buffer, b.Reserve)
	}
	if given, err := addAll(b.Miners, b.Stakers, b.Treasury); err != nil || given != b.Released {
		return fmt.Errorf("%d uhip released, but %d + %d + %d given out", b.Released, b.Miners, b.Stakers, b.Treasury)
	}
	return nil
}

// Buy books a deposit of uhip for ucredit, and gives an account the credits with the deposit as their backing.
func (b *Books) Buy(to *Balance, uhip, ucredit uint64) error {
	return addTo(
		counter{"bought", &b.Bought, ucredit},
		counter{"reserve", &b.Reserve, uhip},
		counter{"deposited", &b.Deposited, uhip},
		counter{"balance", &to.Ucredit, ucredit},
		counter{"backing", &to.Backing, uhip},
	)
}

// Consume books ucredit of an account as used. It takes their part out of the account's backing, rounded down, and
// releases of it at most what they are worth at the lowest price of the last 7 days; the rest goes to the buffer.
// Whatever the price did and whatever others do, an account's credits never release more than was paid for them.
func (b *Books) Consume(from *Balance, ucredit, lowest uint64, shares Shares, served bool) (Release, error) {
	if ucredit > from.Ucredit || ucredit > b.Outstanding() {
		return Release{}, fmt.Errorf("consume %d ucredit of %d, with %d outstanding", ucredit, from.Ucredit, b.Outstanding())
	}
	if from.Backing > b.Backing() {
		return Release{}, fmt.Errorf("a backing of %d uhip, but all backings are %d", from.Backing, b.Backing())
	}
	if err := shares.Validate(); err != nil {
		return Release{}, err
	}
	if ucredit == 0 {
		return Release{}, nil
	}
	// ucredit is at most the balance, so the part is at most the backing, and the whole balance takes all of it.
	part, err := mulDiv(from.Backing, ucredit, from.Ucredit)
	if err != nil {
		return Release{}, err
	}
	r := shares.Split(mulDivCap(ucredit, lowest, PerCredit, part), served)
	if err := b.release(r, counter{"consumed", &b.Consumed, ucredit}, counter{"buffer", &b.Buffer, part - r.Uhip}); err != nil {
		return Release{}, err
	}
	b.Reserve -= r.Uhip
	from.Ucredit -= ucredit
	from.Backing -= part
	return r, nil
}

// PayFee books a fee paid in coins, in uhip, which nobody served: it passes by the reserve.
func (b *Books) PayFee(uhip uint64, shares Shares) (Release, error) {
	if err := shares.Validate(); err != nil {
		return Release{}, err
	}
	r := shares.Split(uhip, false)
	return r, b.release(r, counter{"fees", &b.Fees, uhip})
}

// release counts what leaves, with other counters, or none of all when one would overflow.
func (b *Books) release(r Release, others ...counter) error {
	return addTo(append(others,
		counter{"released", &b.Released, r.Uhip},
		counter{"miners", &b.Miners, r.Miner},
		counter{"stakers", &b.Stakers, r.Stakers},
		counter{"treasury", &b.Treasury, r.Treasury},
	)...)
}

// Add books uhip that somebody gives to the buffer.
func (b *Books) Add(uhip uint64) error {
	return addTo(counter{"added", &b.Added, uhip}, counter{"buffer", &b.Buffer, uhip}, counter{"reserve", &b.Reserve, uhip})
}

// Spend books uhip that governance takes from the buffer, at most all of it.
func (b *Books) Spend(uhip uint64) error {
	if uhip > b.Buffer {
		return fmt.Errorf("%d uhip are more than the buffer has, %d", uhip, b.Buffer)
	}
	if err := addTo(counter{"spent", &b.Spent, uhip}); err != nil {
		return err
	}
	b.Buffer -= uhip
	b.Reserve -= uhip
	return nil
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
