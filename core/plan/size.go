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

// Bounds of a size: the smallest VM that boots, and more than any host offers.
const (
	maxVCPUs     = 1024
	minMemoryMiB = 128
	maxMemoryMiB = 64 << 20
	maxDiskGiB   = 1 << 20
	maxIOPS      = 10_000_000
	maxSpeed     = 1 << 50
)

// Validate says what is out of bounds, as the rest of a sentence that begins with what has this size.
func (s Size) Validate() error {
	for _, c := range []struct {
		what        string
		v, low, top uint64
	}{
		{"vCPUs", uint64(s.VCPUs), 1, maxVCPUs},
		{"MiB of memory", s.MemoryMiB, minMemoryMiB, maxMemoryMiB},
		{"GiB of disk", s.DiskGiB, 1, maxDiskGiB},
		{"IOPS", uint64(s.IOPS), 1, maxIOPS},
		{"disk bytes per second", s.DiskBytesPerSecond, 1, maxSpeed},
		{"network bits per second", s.NetworkBitsPerSecond, 1, maxSpeed},
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
