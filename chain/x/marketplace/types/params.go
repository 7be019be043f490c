package types

import (
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/plan"
)

// Bounds of the parameters.
const (
	maxMinCreate   = 1_000_000 * credit.PerCredit
	maxHoldback    = 3650 * credit.DaySeconds
	maxInterval    = 7 * credit.DaySeconds
	maxLag         = 3600
	maxSettlements = 100_000
)

// MaxEntries of the catalogue of each kind: they are listed in one answer.
const MaxEntries = 500

// DefaultParams are those of a new network.
func DefaultParams() Params {
	p := plan.DefaultPrices()
	return Params{
		VcpuHourUcredit:        p.VCPU,
		MemoryGibHourUcredit:   p.MemoryGiB,
		DiskGibHourUcredit:     p.DiskGiB,
		MinCreateUcredit:       10 * credit.PerCredit,
		HoldbackSeconds:        37 * credit.DaySeconds, // 7 days, and 30 as long as disks are not archived then
		SettleIntervalSeconds:  3600,
		SettleLagSeconds:       90,
		MaxSettlementsPerBlock: 500,
	}
}

// Prices in force.
func (p Params) Prices() plan.Prices {
	return plan.Prices{VCPU: p.VcpuHourUcredit, MemoryGiB: p.MemoryGibHourUcredit, DiskGiB: p.DiskGibHourUcredit}
}

// Holdback for a disk rate, in ucredit.
func (p Params) Holdback(diskRate uint64) uint64 { return credit.Holdback(diskRate, p.HoldbackSeconds) }

// Schedule of an account's settlements.
func (p Params) Schedule(account string) credit.Schedule {
	interval := int64(p.SettleIntervalSeconds)
	return credit.Schedule{Interval: interval, Phase: credit.Phase(account, interval)}
}

// Validate says in one sentence what is wrong with the parameters.
func (p Params) Validate() error {
	if err := p.Prices().Validate(); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	for _, c := range []struct {
		what        string
		v, low, top uint64
	}{
		{"the least balance to create a VM with, in ucredit", p.MinCreateUcredit, 0, maxMinCreate},
		{"the seconds held back", p.HoldbackSeconds, 0, maxHoldback},
		{"the seconds between settlements", p.SettleIntervalSeconds, 1, maxInterval},
		{"the seconds settlement lags behind", p.SettleLagSeconds, 0, maxLag},
		{"the settlements in a block", uint64(p.MaxSettlementsPerBlock), 1, maxSettlements},
	} {
		if c.v < c.low || c.v > c.top {
			return ErrInvalid.Wrapf("%s are %d; accepted are %d to %d", c.what, c.v, c.low, c.top)
		}
	}
	return nil
}
