package types

import (
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/mesh"
)

// Bounds of the parameters.
const (
	// MaxRevocations of one tenant.
	MaxRevocations = mesh.MaxRevocations
	maxRelease     = 90 * 24 * 3600
	maxRent        = 1000 * credit.PerCredit
	maxGrace       = 366 * 24 * 3600
)

// DefaultParams are those of a new network.
func DefaultParams() Params {
	return Params{
		MaxDevices: mesh.MaxDevices, MaxRevocations: 1024, ReleaseSeconds: 24 * 3600,
		LighthouseRentUcredit: credit.PerCredit / 4, LighthouseGraceSeconds: 30 * 24 * 3600,
	}
}

// Validate says in one sentence what is wrong with the parameters.
func (p Params) Validate() error {
	switch {
	case p.MaxDevices < 1 || p.MaxDevices > mesh.MaxDevices:
		return ErrInvalid.Wrapf("a tenant has up to %d devices; accepted are 1 to %d", p.MaxDevices, mesh.MaxDevices)
	case p.MaxRevocations < 1 || p.MaxRevocations > MaxRevocations:
		return ErrInvalid.Wrapf("a tenant has up to %d revocations; accepted are 1 to %d", p.MaxRevocations, MaxRevocations)
	case p.ReleaseSeconds < 1 || p.ReleaseSeconds > maxRelease:
		return ErrInvalid.Wrapf("a block is released after %d seconds; accepted are 1 to %d", p.ReleaseSeconds, maxRelease)
	case p.LighthouseRentUcredit < 1 || p.LighthouseRentUcredit > maxRent:
		return ErrInvalid.Wrapf("a lighthouse's rent is %d ucredit a day; accepted are 1 to %d", p.LighthouseRentUcredit, uint64(maxRent))
	case p.LighthouseGraceSeconds < 1 || p.LighthouseGraceSeconds > maxGrace:
		return ErrInvalid.Wrapf("a lighthouse's address is held for %d seconds; accepted are 1 to %d", p.LighthouseGraceSeconds, maxGrace)
	}
	return nil
}
