package place

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// walk takes up to limit of sorted slots, from what is left of a pass.
func walk(p Pass, slots []uint64, limit int) (seen []uint64, next Pass, whole bool) {
	for _, arc := range p.Left() {
		for _, s := range slots {
			if s < arc.First || s > arc.Last {
				continue
			}
			seen = append(seen, s)
			if p, whole = p.After(s); whole || len(seen) == limit {
				return seen, p, whole
			}
		}
	}
	return seen, p, true
}

// However a ring is walked in parts, from wherever, each slot is met once.
func TestPassMeetsEachSlotOnce(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		slots := []uint64{0, 1, math.MaxUint64}[:rnd.IntN(4)]
		for range rnd.IntN(20) {
			slots = append(slots, rnd.Uint64())
		}
		slices.Sort(slots)
		slots = slices.Compact(slots)
		from := rnd.Uint64()
		switch rnd.IntN(4) {
		case 0:
			from = 0
		case 1:
			from = math.MaxUint64
		case 2:
			if len(slots) > 0 {
				from = slots[rnd.IntN(len(slots))]
			}
		}
		p, whole := Pass{From: from}, false
		var met []uint64
		for parts := 0; !whole; parts++ {
			if parts > len(slots)+1 {
				t.Fatalf("from %d over %v: no end after %v", from, slots, met)
			}
			var seen []uint64
			seen, p, whole = walk(p, slots, 1+rnd.IntN(5))
			met = append(met, seen...)
		}
		if len(met) > 0 && slices.ContainsFunc(slots, func(s uint64) bool { return s-from < met[0]-from }) {
			t.Fatalf("from %d over %v: began at %d", from, slots, met[0])
		}
		slices.Sort(met)
		if !slices.Equal(met, slots) {
			t.Fatalf("from %d over %v: met %v", from, slots, met)
		}
	}
}
