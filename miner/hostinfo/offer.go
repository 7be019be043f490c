package hostinfo

import "fmt"

// Wish is what an operator wants to offer; a zero field is "what there is".
type Wish struct {
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
func (i Info) Decide(w Wish, usedGiB uint64) (Offer, error) {
	disk := min(i.DiskFreeGiB+usedGiB, i.DiskTotalGiB)
	have := Offer{Cores: i.Cores, MemoryMiB: less(i.MemoryMiB, w.ReserveMiB), DiskGiB: less(disk, w.ReserveGiB)}
	switch {
	case w.Cores > have.Cores:
		return Offer{}, fmt.Errorf("offer of %d cores: this host has %d", w.Cores, have.Cores)
	case w.MemoryMiB > have.MemoryMiB:
		return Offer{}, fmt.Errorf("offer of %d MiB of memory: this host has %d, %d of them reserved for itself",
			w.MemoryMiB, i.MemoryMiB, w.ReserveMiB)
	case w.DiskGiB > have.DiskGiB:
		return Offer{}, fmt.Errorf("offer of %d GiB of disk: %d are free or taken by VMs, %d of them reserved for the host",
			w.DiskGiB, disk, w.ReserveGiB)
	}
	if w.Cores > 0 {
		have.Cores = w.Cores
	}
	if w.MemoryMiB > 0 {
		have.MemoryMiB = w.MemoryMiB
	}
	if w.DiskGiB > 0 {
		have.DiskGiB = w.DiskGiB
	}
	if have.Cores == 0 || have.MemoryMiB == 0 || have.DiskGiB == 0 {
		return Offer{}, fmt.Errorf("nothing to offer: %d cores, %d MiB of memory, %d GiB of disk beyond the reserves",
			have.Cores, have.MemoryMiB, have.DiskGiB)
	}
	return have, nil
}

func less(a, b uint64) uint64 { return a - min(a, b) }
