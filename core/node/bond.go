package node

import "math/bits"

// MaxBondRate bounds what is bonded for a core, a GiB of memory or a GiB of disk, in uhip.
const MaxBondRate = 100_000_000_000

const mibPerGiB = 1024

// BondRates are what a miner bonds for what it offers, in uhip, each at most MaxBondRate. Nothing is bonded at the zero value.
type BondRates struct{ Core, MemoryGiB, DiskGiB uint64 }

// Bond is what a capacity within its bounds needs, in uhip.
func (c Capacity) Bond(r BondRates) uint64 {
	return uint64(c.Cores)*r.Core + c.MemoryMiB*r.MemoryGiB/mibPerGiB + c.DiskGiB*r.DiskGiB // below 2^63 within the bounds
}

// Covered is the part of a capacity that a bond in uhip covers: all of it, or of each resource as much as of the bond that is
// needed. It never grows with the rates, nor falls with the bond.
func (c Capacity) Covered(bondUhip uint64, r BondRates) Capacity {
	need := c.Bond(r)
	if bondUhip >= need {
		return c
	}
	part := func(whole uint64) uint64 {
		hi, lo := bits.Mul64(whole, bondUhip)
		q, _ := bits.Div64(hi, lo, need) // hi < need, as bondUhip < need
		return q
	}
	return Capacity{Cores: uint32(part(uint64(c.Cores))), MemoryMiB: part(c.MemoryMiB), DiskGiB: part(c.DiskGiB)}
}
