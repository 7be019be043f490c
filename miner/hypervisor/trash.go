package hypervisor

import (
	"context"
	"slices"
	"time"

	"github.com/hippius/compute/core/vm"
)

const (
	// TrashPeriod is how long a trashed disk is to be kept while there is room for it.
	TrashPeriod = 24 * time.Hour
	// YoungTrash stays for that long also where room is wanted, unless the host is about to fill.
	YoungTrash = time.Hour
	// SpareBytes are to stay free on the filesystem of the disks; with less the host is about to fill.
	SpareBytes = 1 << 30
)

// Space on the filesystem of the disks, in bytes.
type Space struct {
	// Free for new data; Used by disks, those in the trash not counted.
	Free, Used uint64
	// Trash, the oldest first.
	Trash []Trashed
}

// Trashed is what went to the trash of a VM at one time.
type Trashed struct {
	VM    vm.ID
	At    time.Time
	Bytes uint64
}

// Sweep deletes what was trashed before the given time, and returns how many entries that were.
func Sweep(ctx context.Context, d Disks, before time.Time) (swept int, err error) {
	s, err := d.Space(ctx)
	if err != nil {
		return 0, err
	}
	for _, t := range s.Trash {
		if !t.At.Before(before) {
			break // the oldest come first
		}
		if err := d.Discard(ctx, t); err != nil {
			return swept, err
		}
		swept++
	}
	return swept, nil
}

// Want is the room that is wanted on the filesystem of the disks.
type Want struct {
	// Bytes that the disks may come to take in all, with one that is to be made; Space.Used is part of it.
	Bytes uint64
	// Owner of the VM that a disk is to be made for; empty for none. Its own trash counts against it.
	Owner string
	// OwnerOf a VM, empty where it is not known.
	OwnerOf func(vm.ID) string
}

// GiveWay chooses what is deleted of the trash so that the wanted room is there, and SpareBytes beside it: first what the owner of a
// disk that is to be made has in it, whatever its age, then what is older than YoungTrash, the oldest first. If less than SpareBytes
// would still be free, all else as well: the oldest of the owner that has the most.
func (s Space) GiveWay(w Want, now time.Time) (out []Trashed) {
	free, left := s.Free, slices.Clone(s.Trash)
	take := func(i int) {
		free += left[i].Bytes
		out = append(out, left[i])
		left = slices.Delete(left, i, i+1)
	}
	wanted := w.Bytes - min(w.Bytes, s.Used) + SpareBytes
	for _, may := range []func(Trashed) bool{
		func(t Trashed) bool { return w.Owner != "" && w.OwnerOf(t.VM) == w.Owner },
		func(t Trashed) bool { return now.Sub(t.At) >= YoungTrash },
	} {
		for i := 0; i < len(left) && free < wanted; {
			if may(left[i]) {
				take(i)
			} else {
				i++
			}
		}
	}
	for len(left) > 0 && free < SpareBytes {
		take(largest(left, w.OwnerOf))
	}
	return out
}

// largest is the index of the first entry of the owner that has the most bytes. VMs whose owner is not known count each by itself.
func largest(all []Trashed, ownerOf func(vm.ID) string) int {
	key := func(t Trashed) string {
		if o := ownerOf(t.VM); o != "" {
			return o
		}
		return string(t.VM)
	}
	sums := map[string]uint64{}
	for _, t := range all {
		sums[key(t)] += t.Bytes
	}
	best := 0
	for i, t := range all {
		if sums[key(t)] > sums[key(all[best])] {
			best = i
		}
	}
	return best
}
