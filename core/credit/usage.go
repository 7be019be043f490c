package credit

import (
	"fmt"
	"slices"
)

const (
	// MaxPending bounds the intervals that a Usage keeps.
	MaxPending = 4
	// MaxInterval bounds one of them, in seconds.
	MaxInterval = 3600
)

// Interval is an attested time: [From, To), unix seconds, at Rate ucredit per hour.
type Interval struct {
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Rate uint64 `json:"rate"`
}

// Usage is what was attested of one VM and is not settled. It is of bounded
// size however long it is not settled. A method that returns an error has
// changed nothing.
type Usage struct {
	// Units that are no longer pending, at most MaxUnits.
	Units uint64 `json:"units,omitempty"`
	// Pending intervals in order, none overlapping another: at most MaxPending.
	Pending []Interval `json:"pending,omitempty"`
}

// Add appends an interval, which may not begin before the last one ends. One
// that continues the last is joined to it. What is too much to keep is no
// longer pending, the oldest first.
func (u *Usage) Add(iv Interval) error {
	if iv.To <= iv.From {
		return nil
	}
	if err := u.mayAdd(iv); err != nil {
		return err
	}
	list := slices.Clone(u.Pending)
	if n := len(list); n > 0 && list[n-1].To == iv.From && list[n-1].Rate == iv.Rate {
		list[n-1].To = iv.To
	} else {
		list = append(list, iv)
	}
	u.Pending = list
	u.Fold(iv.To - MaxInterval)
	if len(u.Pending) > MaxPending {
		u.Fold(u.Pending[0].To)
	}
	return nil
}

func (u *Usage) mayAdd(iv Interval) error {
	switch n := len(u.Pending); {
	case iv.From <= 0:
		return fmt.Errorf("an attested interval begins at %d", iv.From)
	case iv.Rate > MaxRate:
		return fmt.Errorf("rate of %d ucredit an hour; at most %d", iv.Rate, uint64(MaxRate))
	case n > 0 && iv.From < u.Pending[n-1].To:
		return fmt.Errorf("the attested interval %d to %d begins before %d, up to which all is attested", iv.From, iv.To, u.Pending[n-1].To)
	}
	return nil
}

// Fold takes all before a time out of the pending intervals.
func (u *Usage) Fold(before int64) {
	kept := u.Pending[:0:0]
	for _, iv := range u.Pending {
		if until := min(iv.To, before); until > iv.From {
			u.Units = min(satAdd(u.Units, iv.units(until)), MaxUnits)
			iv.From = until
		}
		if iv.From < iv.To {
			kept = append(kept, iv)
		}
	}
	u.Pending = kept
}

// units of the interval up to a time within it, at most MaxUnits.
func (iv Interval) units(until int64) uint64 {
	return mulDivCap(iv.Rate, uint64(until-iv.From), 1, MaxUnits)
}

// Owed is all of it, in units.
func (u Usage) Owed() uint64 {
	sum := u.Units
	for _, iv := range u.Pending {
		sum = satAdd(sum, iv.units(iv.To))
	}
	return min(sum, MaxUnits)
}

// Settle takes what was attested before a time, at most payable units, and
// returns them. Dropped is what is owed beyond payable, also of what is
// younger; left is still owed.
func (u *Usage) Settle(before int64, payable uint64) (taken, dropped, left uint64) {
	u.Fold(before)
	taken = min(u.Units, payable)
	dropped = u.Units - taken
	u.Units = 0
	if left = u.Owed(); left > payable-taken {
		dropped += left - (payable - taken)
		left = payable - taken
		u.Units, u.Pending = left, nil
	}
	return taken, dropped, left
}

// Check says which invariant a stored usage violates, if any.
func (u Usage) Check() error {
	if u.Units > MaxUnits {
		return fmt.Errorf("%d units owed; at most %d", u.Units, uint64(MaxUnits))
	}
	if len(u.Pending) > MaxPending {
		return fmt.Errorf("%d pending intervals; at most %d", len(u.Pending), MaxPending)
	}
	var past Usage
	for _, iv := range u.Pending {
		if iv.To <= iv.From || iv.To-iv.From > MaxInterval {
			return fmt.Errorf("pending interval %d to %d", iv.From, iv.To)
		}
		if err := past.mayAdd(iv); err != nil {
			return err
		}
		past.Pending = append(past.Pending, iv)
	}
	return nil
}
