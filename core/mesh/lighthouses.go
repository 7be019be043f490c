package mesh

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// KeepTo is how many lighthouses the members of a tenant's network keep to.
const KeepTo = 8

// LighthousesFor chooses those that a tenant's VMs and devices keep to, at
// most KeepTo of the ones there are, by number. They find each other at the
// ones they have in common, so it is the same for all of one tenant's.
//
// Each tenant has an order of its own among all numbers, so whoever runs one of
// m lighthouses in n is the only one that a tenant knows in about one case of
// (n/m)^KeepTo, wherever in the line his stand; and one more or less changes one
// place at most. The order is by number and not by operator because numbers are
// the chain's to give, the lowest that is free to each account that could pay
// for a VM: names and keys can be tried in millions until one suits.
func LighthousesFor(tenant string, there []uint32) []uint32 {
	type ranked struct {
		number uint32
		rank   [sha256.Size]byte
	}
	all := make([]ranked, 0, len(there))
	for _, n := range there {
		all = append(all, ranked{n, rank(tenant, n)})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(slices.Compare(a.rank[:], b.rank[:]), cmp.Compare(a.number, b.number))
	})
	all = slices.CompactFunc(all, func(a, b ranked) bool { return a.number == b.number })
	out := make([]uint32, 0, KeepTo)
	for _, r := range all[:min(len(all), KeepTo)] {
		out = append(out, r.number)
	}
	slices.Sort(out)
	return out
}

// rank is a number's place in a tenant's order, the lowest first.
func rank(tenant string, number uint32) [sha256.Size]byte {
	b := []byte("hippius lighthouses of " + tenant + "\x00")
	return sha256.Sum256(binary.BigEndian.AppendUint32(b, number))
}
