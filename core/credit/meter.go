package credit

import (
	"fmt"
	"math"
)

const (
	// MaxRate bounds an account's rate and any part of it, in ucredit per hour (a million credits an hour).
	MaxRate = 1_000_000_000_000
	// MaxUnits bounds what one meter may owe, in units.
	MaxUnits = math.MaxUint64 / 4
)

// Meter is one account's record of what it is charged, of constant size. What
// its VMs were attested is kept with them, as their Usage, until it is settled.
// The zero value is an account that never had a VM. Times are unix seconds. A
// method that returns an error has changed nothing.
type Meter struct {
	// Rate is what the account's VMs cost now, in ucredit per hour.
	Rate uint64
	// DiskRate is what all the account's VMs would cost an hour if stopped.
	DiskRate uint64
	// Owed is what was attested and unsettled at OwedAt, Carry not included, as
	// far as the meter knows: it rises with the rate whether the time is attested or not.
	Owed   uint64
	OwedAt int64
	// Carry is the remainder, below 3600 units, of the last settlement.
	Carry uint64
	// Consumed in all, in ucredit.
	Consumed uint64
	// NextDue is when the meter is looked at next; 0 for never.
	SettledAt, NextDue int64
	// RanOutAt and WarnedAt are 0 until it happens and again after a purchase.
	RanOutAt, WarnedAt int64
	// Notices that the account's disks will be terminated, at most MaxNotices since it ran out, and when the last was given.
	Notices   uint32
	NoticedAt int64
}

// Observe corrects what is owed by what the account's VMs are attested, in units.
func (m *Meter) Observe(now int64, owed uint64) { m.Owed, m.OwedAt = min(owed, MaxUnits), now }

// advance has what is owed rise by the rate up to now.
func (m *Meter) advance(now int64) {
	if now > m.OwedAt {
		m.Owed = min(satAdd(m.Owed, mulDivCap(m.Rate, uint64(now-m.OwedAt), 1, MaxUnits)), MaxUnits)
	}
	m.OwedAt = now
}

// ShiftRate changes the rate by delta from now on.
func (m *Meter) ShiftRate(now, delta int64) error {
	next, err := shift(m.Rate, delta)
	if err != nil {
		return fmt.Errorf("rate: %w", err)
	}
	m.advance(now)
	m.Rate = next
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
func (m *Meter) OwedUnits() uint64 { return satAdd(m.Owed, m.Carry) }

// OwedUcredit is OwedUnits in whole ucredit.
func (m *Meter) OwedUcredit() uint64 { return m.OwedUnits() / UnitsPerUcredit }

// payable is how many units a balance pays for.
func payable(balance uint64) uint64 {
	return mulDivCap(balance, UnitsPerUcredit, 1, MaxUnits)
}

// Payable is how many units a balance pays for beside what is carried.
func (m *Meter) Payable(balance uint64) uint64 {
	p := payable(balance)
	return p - min(p, m.Carry)
}

// Check says which invariant a stored meter violates, if any.
func (m *Meter) Check() error {
	switch {
	case m.Carry >= UnitsPerUcredit:
		return fmt.Errorf("carry of %d units; a remainder is below %d", m.Carry, UnitsPerUcredit)
	case max(m.Rate, m.DiskRate) > MaxRate:
		return fmt.Errorf("rate of %d and disk rate of %d ucredit an hour; at most %d", m.Rate, m.DiskRate, uint64(MaxRate))
	case m.Notices > MaxNotices:
		return fmt.Errorf("%d notices; at most %d", m.Notices, MaxNotices)
	case m.Owed > MaxUnits:
		return fmt.Errorf("%d units owed; at most %d", m.Owed, uint64(MaxUnits))
	}
	return nil
}

func satAdd(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}
