package plan

import (
	"fmt"

	"github.com/hippius/compute/core/node"
)

// Size is what a VM has of its host.
type Size struct {
	VCPUs     uint32 `json:"vcpus"`
	MemoryMiB uint64 `json:"memory_mib"`
	DiskGiB   uint64 `json:"disk_gib"`
	// IOPS and DiskBytesPerSecond bound the disk, NetworkBitsPerSecond the network, each way.
	IOPS                 uint32 `json:"iops"`
	DiskBytesPerSecond   uint64 `json:"disk_bytes_per_second"`
	NetworkBitsPerSecond uint64 `json:"network_bits_per_second"`
}

// Bounds of a size, each the narrower of what boots and of what every host can define, whatever it offers: 255 vCPUs is the most
// without an emulated IOMMU. Speeds are in bytes, or bits, a second.
const (
	MaxVCPUs       = 255
	MinMemoryMiB   = 128
	MaxMemoryMiB   = 1 << 20 // 1 TiB
	MaxDiskGiB     = 1 << 20 // 1 PiB
	MaxIOPS        = 10_000_000
	MaxDiskSpeed   = 1_000_000_000_000
	MinNetworkBits = 1_000_000
	MaxNetworkBits = 1_000_000_000_000
)

// Validate says what is out of bounds, as the rest of a sentence that begins with what has this size.
func (s Size) Validate() error {
	for _, c := range []struct {
		what        string
		v, low, top uint64
	}{
		{"vCPUs", uint64(s.VCPUs), 1, MaxVCPUs},
		{"MiB of memory", s.MemoryMiB, MinMemoryMiB, MaxMemoryMiB},
		{"GiB of disk", s.DiskGiB, 1, MaxDiskGiB},
		{"IOPS", uint64(s.IOPS), 1, MaxIOPS},
		{"disk bytes per second", s.DiskBytesPerSecond, 1, MaxDiskSpeed},
		{"network bits per second", s.NetworkBitsPerSecond, MinNetworkBits, MaxNetworkBits},
	} {
		if c.v < c.low || c.v > c.top {
			return fmt.Errorf("has %d %s; accepted are %d to %d", c.v, c.what, c.low, c.top)
		}
	}
	return nil
}

// Demand is what a VM of this size takes of its host's capacity.
func (s Size) Demand() node.Demand {
	return node.Demand{VCPUs: s.VCPUs, MemoryMiB: s.MemoryMiB, DiskGiB: s.DiskGiB}
}
