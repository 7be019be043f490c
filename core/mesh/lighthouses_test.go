package mesh

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func numbers(t *rapid.T) []uint32 {
	return rapid.SliceOfNDistinct(rapid.Uint32Range(1, MaxLighthouses), 0, 200, func(n uint32) uint32 { return n }).Draw(t, "there")
}

func TestLighthousesForATenant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tenant, there := rapid.StringN(1, 60, -1).Draw(t, "tenant"), numbers(t)
		got := LighthousesFor(tenant, there)
		if len(got) != min(len(there), KeepTo) {
			t.Fatalf("%d of %d", len(got), len(there))
		}
		for i, n := range got {
			if !slices.Contains(there, n) || i > 0 && got[i-1] >= n {
				t.Fatalf("%v of %v", got, there)
			}
		}
		// Whoever lists them in another order, or some twice, keeps to the same.
		again := append(slices.Clone(there), there...)
		seed := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		seed.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		if other := LighthousesFor(tenant, again); !slices.Equal(got, other) {
			t.Fatalf("%v, and in another order %v", got, other)
		}
		// One that comes takes the place of one at most, and one that goes leaves its own alone.
		one := rapid.Uint32Range(1, MaxLighthouses).Draw(t, "one")
		if slices.Contains(there, one) {
			return
		}
		with := LighthousesFor(tenant, append(slices.Clone(there), one))
		kept := 0
		for _, n := range with {
			if n != one && !slices.Contains(got, n) {
				t.Fatalf("with %d it is %v, without %v", one, with, got)
			}
			if slices.Contains(got, n) {
				kept++
			}
		}
		if kept < len(got)-1 {
			t.Fatalf("with %d it is %v, without %v", one, with, got)
		}
	})
}

// Whoever takes the first places is known to few tenants alone, and every
// lighthouse is known to about as many as any other.
func TestLighthousesAreNotTheFirst(t *testing.T) {
	const (
		tenants = 4000
		first   = 20 // of one operator
		all     = 60
	)
	var there []uint32
	for n := range uint32(all) {
		there = append(there, n+1)
	}
	caught, known := 0, map[uint32]int{}
	for i := range tenants {
		his := 0
		for _, n := range LighthousesFor(fmt.Sprintf("hip1tenant%d", i), there) {
			known[n]++
			if n <= first {
				his++
			}
		}
		if his == KeepTo {
			caught++
		}
	}
	// A third of all: one tenant in (1/3)^8, that is 0.6 in 4 000.
	if caught > 5 {
		t.Errorf("%d of %d tenants know one operator alone", caught, tenants)
	}
	const mean = tenants * KeepTo / all
	for _, n := range there {
		if known[n] < mean*3/4 || known[n] > mean*5/4 {
			t.Errorf("lighthouse %d is known to %d tenants, the mean is %d", n, known[n], mean)
		}
	}
}
