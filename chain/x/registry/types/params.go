package types

import (
	"time"

	"github.com/hippius/compute/core/committee"
	"github.com/hippius/compute/core/node"
)

// Bounds of the parameters.
const (
	maxBond      = 1_000_000_000_000_000
	maxUnbonding = 90 * 24 * 3600
	minSilence   = 30
	maxSilence   = 3600
	minEpoch     = 60
	maxEpoch     = 24 * 3600
	maxNewcomer  = 1_000_000
	// maxCommittee is what core and the clients are made for.
	maxCommittee = committee.MaxSeats
)

// DefaultParams are those of a new network.
func DefaultParams() Params {
	return Params{
		MinBondUhip:       1_000_000_000,
		UnbondingSeconds:  uint64((7 * 24 * time.Hour).Seconds()),
		CpuOvercommit:     200,
		MaxCommittee:      maxCommittee,
		SilenceSeconds:    90,
		EpochSeconds:      600,
		EpochGraceSeconds: 600,

		BondPerCoreUhip:      5_000_000,
		BondPerMemoryGibUhip: 250_000,
		BondPerDiskGibUhip:   10_000,

		NewcomerVms:       4,
		NewcomerProvenVms: 10,
	}
}

// BondRates are what is bonded for what a miner offers.
func (p Params) BondRates() node.BondRates {
	return node.BondRates{Core: p.BondPerCoreUhip, MemoryGiB: p.BondPerMemoryGibUhip, DiskGiB: p.BondPerDiskGibUhip}
}

// Newcomers are how many VMs a miner holds that has not shown that it runs them.
func (p Params) Newcomers() node.NewcomerRules {
	return node.NewcomerRules{VMs: p.NewcomerVms, Proven: uint64(p.NewcomerProvenVms)}
}

// Validate says in one sentence what is wrong with the parameters.
func (p Params) Validate() error {
	switch {
	case p.MinBondUhip < 1 || p.MinBondUhip > maxBond:
		return ErrInvalid.Wrapf("the least bond is %d uhip; accepted are 1 to %d", p.MinBondUhip, uint64(maxBond))
	case p.UnbondingSeconds < 1 || p.UnbondingSeconds > maxUnbonding:
		return ErrInvalid.Wrapf("unbonding takes %d seconds; accepted are 1 to %d", p.UnbondingSeconds, maxUnbonding)
	case p.CpuOvercommit < 1 || p.CpuOvercommit > node.MaxOvercommit:
		return ErrInvalid.Wrapf("%d vCPUs are sold per 100 cores; accepted are 1 to %d", p.CpuOvercommit, node.MaxOvercommit)
	case p.MaxCommittee < 1 || p.MaxCommittee > maxCommittee:
		return ErrInvalid.Wrapf("the committee has up to %d seats; accepted are 1 to %d", p.MaxCommittee, maxCommittee)
	case p.SilenceSeconds < minSilence || p.SilenceSeconds > maxSilence:
		return ErrInvalid.Wrapf("a miner is silent after %d seconds; accepted are %d to %d", p.SilenceSeconds, minSilence, maxSilence)
	case p.EpochSeconds < minEpoch || p.EpochSeconds > maxEpoch:
		return ErrInvalid.Wrapf("a committee lasts at least %d seconds; accepted are %d to %d", p.EpochSeconds, minEpoch, maxEpoch)
	case p.EpochGraceSeconds < minEpoch || p.EpochGraceSeconds > maxEpoch:
		return ErrInvalid.Wrapf("a former committee takes deals for %d seconds; accepted are %d to %d", p.EpochGraceSeconds, minEpoch, maxEpoch)
	case max(p.BondPerCoreUhip, p.BondPerMemoryGibUhip, p.BondPerDiskGibUhip) > node.MaxBondRate:
		return ErrInvalid.Wrapf("%d uhip are bonded for a core, %d for a GiB of memory and %d for a GiB of disk; accepted are 0 to %d",
			p.BondPerCoreUhip, p.BondPerMemoryGibUhip, p.BondPerDiskGibUhip, uint64(node.MaxBondRate))
	case p.NewcomerVms < 1 || p.NewcomerVms > maxNewcomer || p.NewcomerProvenVms > maxNewcomer:
		return ErrInvalid.Wrapf("a newcomer holds %d VMs until %d have proven themselves; accepted are 1 to %d, and 0 to %d", p.NewcomerVms, p.NewcomerProvenVms, maxNewcomer, maxNewcomer)
	}
	return nil
}
