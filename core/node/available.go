// Package node holds what a miner's host offers, what its VMs take of it and
// the available capacity.
package node

import (
	"errors"
	"fmt"
	"math"
)

// Bounds of the capacity that a miner may register.
const (
	MaxCores     = 4096
	MaxMemoryMiB = 64 << 20 // 64 TiB
	MaxDiskGiB   = 16 << 20 // 16 PiB
	// MaxOvercommit of vCPUs per core, parts of 100.
	MaxOvercommit = 1600
	// Full is a whole, in the parts that Share counts.
	Full = 10_000
)

// ErrNotHeld says that more was released than was taken.
var ErrNotHeld = errors.New("more released than taken")

// Capacity is what a host offers. Memory in MiB, disk in GiB.
type Capacity struct {
	Cores     uint32
	MemoryMiB uint64
	DiskGiB   uint64
}

// Demand is what one VM takes.
type Demand struct {
	VCPUs     uint32
	MemoryMiB uint64
	DiskGiB   uint64
}

// DiskOnly is what a VM with the demand takes while it is off.
func (d Demand) DiskOnly() Demand { return Demand{DiskGiB: d.DiskGiB} }

// Usage is what a host's VMs take together.
type Usage struct {
	VMs       uint32
	VCPUs     uint32
	MemoryMiB uint64
	DiskGiB   uint64
}

// Available is the available capacity, vCPUs with the overcommit.
type Available struct {
	VCPUs     uint64
	MemoryMiB uint64
	DiskGiB   uint64
}

// Validate says in one sentence what is out of bounds.
func (c Capacity) Validate() error {
	if c.Cores < 1 || c.Cores > MaxCores {
		return fmt.Errorf("%d cores offered; 1 to %d are accepted", c.Cores, MaxCores)
	}
	if c.MemoryMiB < 1 || c.MemoryMiB > MaxMemoryMiB {
		return fmt.Errorf("%d MiB of memory offered; 1 to %d are accepted", c.MemoryMiB, MaxMemoryMiB)
	}
	if c.DiskGiB < 1 || c.DiskGiB > MaxDiskGiB {
		return fmt.Errorf("%d GiB of disk offered; 1 to %d are accepted", c.DiskGiB, MaxDiskGiB)
	}
	return nil
}

// VCPUs is how many vCPUs may be sold at an overcommit in parts of 100.
func (c Capacity) VCPUs(overcommit uint32) uint64 {
	return uint64(c.Cores) * uint64(overcommit) / 100
}

// Add takes a demand; an error when a counter would overflow.
func (u Usage) Add(d Demand) (Usage, error) {
	if u.VMs == math.MaxUint32 || u.VCPUs > math.MaxUint32-d.VCPUs ||
		u.MemoryMiB > math.MaxUint64-d.MemoryMiB || u.DiskGiB > math.MaxUint64-d.DiskGiB {
		return u, errors.New("usage would overflow")
	}
	return Usage{u.VMs + 1, u.VCPUs + d.VCPUs, u.MemoryMiB + d.MemoryMiB, u.DiskGiB + d.DiskGiB}, nil
}

// Sub gives a demand back; ErrNotHeld when that much was not taken.
func (u Usage) Sub(d Demand) (Usage, error) {
	if u.VMs == 0 || u.VCPUs < d.VCPUs || u.MemoryMiB < d.MemoryMiB || u.DiskGiB < d.DiskGiB {
		return u, ErrNotHeld
	}
	return Usage{u.VMs - 1, u.VCPUs - d.VCPUs, u.MemoryMiB - d.MemoryMiB, u.DiskGiB - d.DiskGiB}, nil
}

// Swap replaces one VM's demand by another; ErrNotHeld as in Sub.
func (u Usage) Swap(from, to Demand) (Usage, error) {
	rest, err := u.Sub(from)
	if err != nil {
		return u, err
	}
	return rest.Add(to)
}

// Within reports whether a demand asks for no more than another of anything.
func (d Demand) Within(o Demand) bool {
	return d.VCPUs <= o.VCPUs && d.MemoryMiB <= o.MemoryMiB && d.DiskGiB <= o.DiskGiB
}

// Both is what has to be kept free so that either demand fits.
func (d Demand) Both(o Demand) Demand {
	return Demand{max(d.VCPUs, o.VCPUs), max(d.MemoryMiB, o.MemoryMiB), max(d.DiskGiB, o.DiskGiB)}
}

// AvailableCapacity is the capacity less the usage, 0 where more is taken than
// offered. Overcommit in parts of 100.
func AvailableCapacity(c Capacity, u Usage, overcommit uint32) Available {
	return Available{
		VCPUs:     difference(c.VCPUs(overcommit), uint64(u.VCPUs)),
		MemoryMiB: difference(c.MemoryMiB, u.MemoryMiB),
		DiskGiB:   difference(c.DiskGiB, u.DiskGiB),
	}
}

// Any reports whether the smallest VM might fit.
func (a Available) Any() bool { return a.VCPUs > 0 && a.MemoryMiB > 0 && a.DiskGiB > 0 }

// Fits reports whether a demand fits.
func (a Available) Fits(d Demand) bool {
	return uint64(d.VCPUs) <= a.VCPUs && d.MemoryMiB <= a.MemoryMiB && d.DiskGiB <= a.DiskGiB
}

// Share is the scarcest resource's available part of the whole, 0 to Full.
func (a Available) Share(c Capacity, overcommit uint32) uint64 {
	return min(
		share(a.VCPUs, c.VCPUs(overcommit)),
		share(a.MemoryMiB, c.MemoryMiB),
		share(a.DiskGiB, c.DiskGiB),
	)
}

func difference(whole, taken uint64) uint64 {
	if taken >= whole {
		return 0
	}
	return whole - taken
}

func share(part, whole uint64) uint64 {
	if whole == 0 {
		return 0
	}
	// Bounded by Validate, so the product does not overflow.
	return min(part, whole) * Full / whole
}
