package credit

import (
	"errors"
	"fmt"
)

const (
	// PriceWindowSeconds is how long a price matters after it was in force: buying is at the highest price of this
	// time and consuming releases at the lowest, so that a price that lags behind the market pays nobody.
	PriceWindowSeconds = 7 * DaySeconds
	// PriceChangeSeconds is the least time between two changes of the price.
	PriceChangeSeconds = DaySeconds
	// MaxPrices is how many prices can have been in force within the window: the one at its start, and one for each
	// change since.
	MaxPrices = 1 + PriceWindowSeconds/PriceChangeSeconds
	// priceSteps: a change is at most a price's part of this many, 20 %.
	priceSteps = 5
)

// ErrPriceChange is returned for a change of the price that is too large or too soon.
var ErrPriceChange = errors.New("change of price refused")

// Price of a credit and since when it is in force.
type Price struct {
	// Since in unix seconds; 0 for the price a network began with.
	Since         int64
	UhipPerCredit uint64
}

// PriceRange is what a credit costs, in uhip: now, and the lowest and highest of the last 7 days.
type PriceRange struct {
	Current, Lowest, Highest uint64
}

// Prices of the last 7 days, oldest first: the last is in force. Never empty, at most MaxPrices.
type Prices []Price

// Validate says in one sentence what is wrong with the prices.
func (p Prices) Validate() error {
	if len(p) == 0 || len(p) > MaxPrices {
		return fmt.Errorf("%d prices of a credit; accepted are 1 to %d", len(p), MaxPrices)
	}
	for i, x := range p {
		switch {
		case x.UhipPerCredit == 0:
			return errors.New("the price of a credit is 0 uhip; it must be at least 1")
		case x.Since < 0:
			return fmt.Errorf("a price is in force since %d; a time is at least 0", x.Since)
		case i > 0 && x.Since-p[i-1].Since < PriceChangeSeconds:
			return fmt.Errorf("two prices %d s apart; there are at least %d s between two changes", x.Since-p[i-1].Since, PriceChangeSeconds)
		}
	}
	return nil
}

// Current is the price in force, in uhip per credit.
func (p Prices) Current() uint64 { return p[len(p)-1].UhipPerCredit }

// Range is the lowest and the highest price that was in force in the 7 days before now.
func (p Prices) Range(now int64) (lowest, highest uint64) {
	lowest, highest = p.Current(), p.Current()
	for _, x := range p.within(now) {
		lowest, highest = min(lowest, x.UhipPerCredit), max(highest, x.UhipPerCredit)
	}
	return lowest, highest
}

// within leaves out what was replaced before the window.
func (p Prices) within(now int64) Prices {
	for len(p) > 1 && p[1].Since <= now-PriceWindowSeconds {
		p = p[1:]
	}
	return p
}

// Change puts a price in force at now, and forgets those that no longer matter. A change is at most a fifth of the
// price in force, rounded up to a whole uhip, and comes at least a day after the change before it; anything else is an
// ErrPriceChange. The price in force again is no change.
func (p Prices) Change(now int64, uhip uint64) (Prices, error) {
	old := p[len(p)-1]
	if uhip == old.UhipPerCredit {
		return p, nil
	}
	limit := old.UhipPerCredit/priceSteps + min(1, old.UhipPerCredit%priceSteps)
	// limit is at most the price, and 1 for a price of 1.
	least := max(old.UhipPerCredit-limit, 1)
	most, err := add(old.UhipPerCredit, limit)
	if err != nil {
		return nil, err
	}
	if uhip < least || uhip > most {
		return nil, fmt.Errorf("%w: a credit costs %d uhip and cannot cost %d next; accepted are %d to %d, a fifth less or more", ErrPriceChange, old.UhipPerCredit, uhip, least, most)
	}
	if now-old.Since < PriceChangeSeconds {
		return nil, fmt.Errorf("%w: the price was changed %d s ago; it can be changed again after %d s", ErrPriceChange, now-old.Since, PriceChangeSeconds-(now-old.Since))
	}
	return append(append(Prices{}, p...), Price{Since: now, UhipPerCredit: uhip}).within(now), nil
}
