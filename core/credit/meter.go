package credit

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

const (
	// MaxRate bounds one miner's rate and an account's whole, in ucredit per hour (a million credits an hour).
	MaxRate = 1_000_000_000_000
	// MaxInterval bounds one attested interval, in seconds.
	MaxInterval = 3600
	// MaxUnits bounds what one meter may owe, in units.
	MaxUnits = math.MaxUint64 / 4
)

// Rate is the sum of the current rates of an account's VMs on one miner.
type Rate struct {
	Miner   string
	PerHour uint64
}

// Accrual is attested, past the lag and unsettled.
type Accrual struct {
	Miner string
	Units uint64
}

// Segment is an attested interval not yet older than the settlement lag.
type Segment struct {
	Miner string
	// Until is the interval's end, unix seconds.
	Until int64
	Units uint64
}

// Meter is one account's record of what it is charged. The zero value is an
// account that never had a VM. Times are unix seconds. A method that returns an
// error has changed nothing.
type Meter struct {
	// Rates, Accruals and Segments are sorted by miner; Segments then by end.
	Rates    []Rate
	Accruals []Accrual
	Segments []Segment
	// DiskRate is what all the account's VMs would cost an hour if stopped.
	DiskRate uint64
	// Carry is the remainder, below 3600 units, of the last settlement.
	Carry uint64
	// Consumed in all, in ucredit.
	Consumed uint64
	// NextDue is when the meter is looked at next; 0 for never.
	SettledAt, NextDue int64
	// RanOutAt and WarnedAt are 0 until it happens and again after a purchase.
	RanOutAt, WarnedAt int64
}

// Rate is the sum of the meter's current rates, in ucredit per hour.
func (m *Meter) Rate() uint64 {
	var sum uint64 // SetRate keeps the sum within MaxRate
	for _, r := range m.Rates {
		sum += r.PerHour
	}
	return sum
}

// SetRate changes the current rate of a miner by delta; a rate of 0 is dropped.
func (m *Meter) SetRate(miner string, delta int64) error {
	if miner == "" {
		return errors.New("a rate needs the miner that earns it")
	}
	i, found := slices.BinarySearchFunc(m.Rates, miner, func(r Rate, s string) int { return strings.Compare(r.Miner, s) })
	var old uint64
	if found {
		old = m.Rates[i].PerHour
	}
	next, err := shift(old, delta)
	if err != nil {
		return fmt.Errorf("rate for %s: %w", miner, err)
	}
	if m.Rate()-old+next > MaxRate {
		return fmt.Errorf("rate for %s: the account would pay more than %d ucredit an hour", miner, uint64(MaxRate))
	}
	switch {
	case found && next == 0:
		m.Rates = slices.Delete(m.Rates, i, i+1)
	case found:
		m.Rates[i].PerHour = next
	case next > 0:
		m.Rates = slices.Insert(m.Rates, i, Rate{Miner: miner, PerHour: next})
	}
	return nil
}

// ShiftDisk changes the rate the hold-back is computed from by delta.
func (m *Meter) ShiftDisk(delta int64) error {
	next, err := shift(m.DiskRate, delta)
	if err != nil {
		return fmt.Errorf("disk rate: %w", err)
	}
	m.DiskRate = next
	return nil
}

// shift is v+delta within 0 … MaxRate.
func shift(v uint64, delta int64) (uint64, error) {
	if delta < 0 {
		down := uint64(-(delta + 1)) + 1 // also right for the smallest int64
		if down > v {
			return 0, fmt.Errorf("%d ucredit an hour cannot fall by %d", v, down)
		}
		return v - down, nil
	}
	if uint64(delta) > MaxRate || v > MaxRate-uint64(delta) {
		return 0, fmt.Errorf("%d ucredit an hour cannot rise by %d; at most %d", v, delta, uint64(MaxRate))
	}
	return v + uint64(delta), nil
}

// OwedUnits is all that is attested and unsettled, carry included.
func (m *Meter) OwedUnits() uint64 {
	sum := m.Carry // Accrue keeps the sum within MaxUnits
	for _, a := range m.Accruals {
		sum += a.Units
	}
	for _, s := range m.Segments {
		sum += s.Units
	}
	return sum
}

// Owed is OwedUnits in whole ucredit.
func (m *Meter) Owed() uint64 { return m.OwedUnits() / UnitsPerUcredit }

// Interval is an attested stretch of one miner's service: [From, To), unix seconds, at Rate ucredit per hour.
type Interval struct {
	Miner    string
	Rate     uint64
	From, To int64
}

// Accrue adds an attested interval. What ended more than lag seconds before now
// can be settled at once, the rest waits as a segment. Never more is taken on
// than the balance can pay: it returns the units taken, and those dropped, which nobody owes.
func (m *Meter) Accrue(iv Interval, now, lag int64, balance uint64) (taken, dropped uint64, err error) {
	switch {
	case iv.Miner == "":
		return 0, 0, errors.New("an attested interval needs the miner that served it")
	case iv.From <= 0 || iv.To < iv.From || iv.To > now:
		return 0, 0, fmt.Errorf("attested interval %d to %d is not in the past of %d", iv.From, iv.To, now)
	case iv.To-iv.From > MaxInterval:
		return 0, 0, fmt.Errorf("attested interval of %d s; at most %d", iv.To-iv.From, MaxInterval)
	case iv.Rate > MaxRate:
		return 0, 0, fmt.Errorf("rate of %d ucredit an hour; at most %d", iv.Rate, uint64(MaxRate))
	}
	units := iv.Rate * uint64(iv.To-iv.From) // at most 3.6e15
	room := payable(balance)
	room -= min(room, m.OwedUnits())
	take := min(units, room)
	if take > 0 {
		if iv.To <= now-lag {
			m.accrue(iv.Miner, take)
		} else {
			m.segment(iv.Miner, iv.To, take)
		}
	}
	return take, units - take, nil
}

// payable is how many units a balance pays for.
func payable(balance uint64) uint64 {
	return mulDivCap(balance, UnitsPerUcredit, 1, MaxUnits)
}

func (m *Meter) accrue(miner string, units uint64) {
	i, found := slices.BinarySearchFunc(m.Accruals, miner, func(a Accrual, s string) int { return strings.Compare(a.Miner, s) })
	if found {
		m.Accruals[i].Units += units
		return
	}
	m.Accruals = slices.Insert(m.Accruals, i, Accrual{Miner: miner, Units: units})
}

func (m *Meter) segment(miner string, until int64, units uint64) {
	key := Segment{Miner: miner, Until: until}
	i, found := slices.BinarySearchFunc(m.Segments, key, compareSegments)
	if found {
		m.Segments[i].Units += units
		return
	}
	key.Units = units
	m.Segments = slices.Insert(m.Segments, i, key)
}

func compareSegments(a, b Segment) int {
	return cmp.Or(strings.Compare(a.Miner, b.Miner), cmp.Compare(a.Until, b.Until))
}
