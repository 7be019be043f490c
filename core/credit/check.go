package credit

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Check says which invariant a stored meter violates, if any.
func (m *Meter) Check() error {
	switch {
	case m.Carry >= UnitsPerUcredit:
		return fmt.Errorf("carry of %d units; a remainder is below %d", m.Carry, UnitsPerUcredit)
	case !slices.IsSortedFunc(m.Rates, func(a, b Rate) int { return strings.Compare(a.Miner, b.Miner) }):
		return errors.New("rates are not sorted by miner")
	case !slices.IsSortedFunc(m.Accruals, func(a, b Accrual) int { return strings.Compare(a.Miner, b.Miner) }):
		return errors.New("accruals are not sorted by miner")
	case !slices.IsSortedFunc(m.Segments, compareSegments):
		return errors.New("segments are not sorted by miner and end")
	case m.DiskRate > MaxRate:
		return fmt.Errorf("disk rate of %d ucredit an hour; at most %d", m.DiskRate, uint64(MaxRate))
	}
	var rate, owed uint64
	for i, r := range m.Rates {
		if r.PerHour == 0 || r.PerHour > MaxRate || i > 0 && m.Rates[i-1].Miner == r.Miner {
			return fmt.Errorf("rate of %d ucredit an hour for %q", r.PerHour, r.Miner)
		}
		if rate += r.PerHour; rate > MaxRate {
			return fmt.Errorf("rates of more than %d ucredit an hour", uint64(MaxRate))
		}
	}
	for i, a := range m.Accruals {
		if i > 0 && m.Accruals[i-1].Miner == a.Miner {
			return fmt.Errorf("two accruals for %q", a.Miner)
		}
		if owed = satAdd(owed, a.Units); owed > MaxUnits {
			return fmt.Errorf("more than %d units owed", uint64(MaxUnits))
		}
	}
	for _, s := range m.Segments {
		if owed = satAdd(owed, s.Units); owed > MaxUnits {
			return fmt.Errorf("more than %d units owed", uint64(MaxUnits))
		}
	}
	return nil
}

func satAdd(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}
