package hostinfo

import "fmt"

// Request is what an operator wants to offer; a zero field is "what there is".
type Request struct {
	Cores     uint32
	MemoryMiB uint64
	DiskGiB   uint64
	// ReserveMiB and ReserveGiB are kept for the host itself.
	ReserveMiB uint64
	ReserveGiB uint64
}

// Offer is what is registered.
type Offer struct {
	Cores     uint32
	MemoryMiB uint64
	DiskGiB   uint64
}

// Decide gives what may be offered. What is not there is refused with a
// sentence that says what is. usedGiB is disk that VMs here take already: it is
// offered, though no longer free.
func (i Info) Decide(r Request, usedGiB uint64) (Offer, error) {
	disk := min(i.DiskFreeGiB+usedGiB, i.DiskTotalGiB)
	have := Offer{Cores: i.Cores, MemoryMiB: less(i.MemoryMiB, r.ReserveMiB), DiskGiB: less(disk, r.ReserveGiB)}
	switch {
	case r.Cores > have.Cores:
		return Offer{}, fmt.Errorf("offer of %d cores: this host has %d", r.Cores, have.Cores)
	case r.MemoryMiB > have.MemoryMiB:
		return Offer{}, fmt.Errorf("offer of %d MiB of memory: this host has %d, %d of them reserved for itself",
			r.MemoryMiB, i.MemoryMiB, r.ReserveMiB)
	case r.DiskGiB > have.DiskGiB:
		return Offer{}, fmt.Errorf("offer of %d GiB of disk: %d are free or taken by VMs, %d of them reserved for the host",
			r.DiskGiB, disk, r.ReserveGiB)
	}
	if r.Cores > 0 {
		have.Cores = r.Cores
	}
	if r.MemoryMiB > 0 {
		have.MemoryMiB = r.MemoryMiB
	}
	if r.DiskGiB > 0 {
		have.DiskGiB = r.DiskGiB
	}
	if have.Cores == 0 || have.MemoryMiB == 0 || have.DiskGiB == 0 {
		return Offer{}, fmt.Errorf("nothing to offer: %d cores, %d MiB of memory, %d GiB of disk beyond the reserves",
			have.Cores, have.MemoryMiB, have.DiskGiB)
	}
	return have, nil
}

func less(a, b uint64) uint64 { return a - min(a, b) }
