package types

import "github.com/hippius/compute/core/mesh"

// Bounds of the parameters.
const (
	maxRevocations = 4096
	maxRelease     = 90 * 24 * 3600
)

// DefaultParams are those of a new network.
func DefaultParams() Params {
	return Params{MaxDevices: mesh.MaxDevices, MaxRevocations: 1024, ReleaseSeconds: 24 * 3600}
}

// Validate says in one sentence what is wrong with the parameters.
func (p Params) Validate() error {
	switch {
	case p.MaxDevices < 1 || p.MaxDevices > mesh.MaxDevices:
		return ErrInvalid.Wrapf("a tenant has up to %d devices; accepted are 1 to %d", p.MaxDevices, mesh.MaxDevices)
	case p.MaxRevocations < 1 || p.MaxRevocations > maxRevocations:
		return ErrInvalid.Wrapf("a tenant has up to %d revocations; accepted are 1 to %d", p.MaxRevocations, maxRevocations)
	case p.ReleaseSeconds < 1 || p.ReleaseSeconds > maxRelease:
		return ErrInvalid.Wrapf("a block is released after %d seconds; accepted are 1 to %d", p.ReleaseSeconds, maxRelease)
	}
	return nil
}
