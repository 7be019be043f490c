package types

import (
	"time"

	"github.com/hippius/compute/core/node"
)

// Bounds of the parameters.
const (
	maxBond      = 1_000_000_000_000_000
	maxUnbonding = 90 * 24 * 3600
	maxCommittee = 21
	minSilence   = 30
	maxSilence   = 3600
)

// DefaultParams are those of a new network.
func DefaultParams() Params {
	return Params{
		MinBondUhip:      1_000_000_000,
		UnbondingSeconds: uint64((7 * 24 * time.Hour).Seconds()),
		CpuOvercommit:    200,
		MaxCommittee:     maxCommittee,
		SilenceSeconds:   90,
	}
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
		return ErrInvalid.Wrapf("the committee has up to %d keepers; accepted are 1 to %d", p.MaxCommittee, maxCommittee)
	case p.SilenceSeconds < minSilence || p.SilenceSeconds > maxSilence:
		return ErrInvalid.Wrapf("a miner is silent after %d seconds; accepted are %d to %d", p.SilenceSeconds, minSilence, maxSilence)
	}
	return nil
}
