package credit

import (
	"hash/fnv"
	"math"
)

// Part is what one miner served and is to be settled, in units.
type Part struct {
	Miner string
	Units uint64
}

// Charge is what one settlement takes for one miner, in ucredit; never 0.
type Charge struct {
	Miner   string
	Ucredit uint64
}

// Settle turns what was attested into charges. The parts are at most Payable of
// the account's balance in all. Units are divided by 3600 part by part in their
// order, and each remainder passes on to the next part and at the end to the
// next settlement: the account's total is the same however often it is settled,
// and one part differs by less than one ucredit a settlement.
func (m *Meter) Settle(parts []Part) (charges []Charge, total uint64) {
	for _, p := range parts {
		units := satAdd(p.Units, m.Carry)
		pay := units / UnitsPerUcredit
		m.Carry = units % UnitsPerUcredit
		total += pay
		if pay > 0 {
			charges = append(charges, Charge{Miner: p.Miner, Ucredit: pay})
		}
	}
	m.Consumed += min(total, math.MaxUint64-m.Consumed)
	return charges, total
}

// Holdback is what seconds of stopped disk cost at diskRate ucredit per hour, rounded up.
func Holdback(diskRate, seconds uint64) uint64 {
	v, err := mulDivUp(diskRate, seconds, UnitsPerUcredit)
	if err != nil {
		return math.MaxUint64 // no balance reaches it
	}
	return v
}

// RanOut tells whether the balance, less what is owed, has come down to the hold-back.
func (m *Meter) RanOut(balance, holdback uint64) bool {
	if balance <= holdback {
		return true
	}
	return m.OwedUnits() >= payable(balance-holdback)
}

// Runway is how many seconds of the present rate the balance lasts until
// run-out, rounded up; ok is false when nothing is charged.
func (m *Meter) Runway(balance, holdback uint64) (seconds uint64, ok bool) {
	if m.Rate == 0 {
		return 0, false
	}
	if m.RanOut(balance, holdback) {
		return 0, true
	}
	left := payable(balance-holdback) - m.OwedUnits()
	return (left-1)/m.Rate + 1, true // left > 0
}

// Schedule says when a meter is looked at.
type Schedule struct {
	// Interval between settlements, seconds; at least 1.
	Interval int64
	// Phase within the interval, so that accounts spread over it.
	Phase int64
}

// recheckSeconds is how soon a meter is looked at again when it should have run
// out by its rate but too little was attested so far.
const recheckSeconds = 10

// Phase spreads accounts evenly over an interval of seconds.
func Phase(account string, interval int64) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(account)) // a hash never fails
	return int64(h.Sum64() % uint64(max(interval, 1)))
}

// Due is when the meter must next be looked at: once an interval, at the
// time it would run out, and a day before that if no warning was given; after
// it ran out, when a notice is due and when its balance is spent; 0 when nothing is charged and nothing is owed.
func (m *Meter) Due(now int64, s Schedule, balance, holdback uint64) int64 {
	runway, charged := m.Runway(balance, holdback)
	if !charged && m.Owed == 0 {
		return 0
	}
	interval := max(s.Interval, 1)
	due := now + interval - (now-s.Phase%interval)%interval
	if wait, ok := m.untilNotice(balance); ok && wait > 0 {
		return min(due, now+max(int64(min(wait, math.MaxInt32)), recheckSeconds))
	}
	if !charged || m.RanOutAt != 0 {
		return due
	}
	if m.WarnedAt == 0 && runway > DaySeconds {
		due = min(due, now+int64(min(runway-DaySeconds, math.MaxInt32)))
	}
	return min(due, now+max(int64(min(runway, math.MaxInt32)), recheckSeconds))
}

// ShouldWarn tells whether the account runs out within a day and was not told yet.
func (m *Meter) ShouldWarn(balance, holdback uint64) bool {
	runway, charged := m.Runway(balance, holdback)
	return charged && m.WarnedAt == 0 && m.RanOutAt == 0 && runway <= DaySeconds
}
