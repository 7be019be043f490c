package node

import (
	"testing"
)

func TestBondCoversCapacity(t *testing.T) {
	rates := BondRates{Core: 5_000_000, MemoryGiB: 250_000, DiskGiB: 10_000}
	host := Capacity{Cores: 64, MemoryMiB: 256 << 10, DiskGiB: 4000}
	if got := host.Bond(rates); got != 320_000_000+64_000_000+40_000_000 {
		t.Fatalf("%d uhip are bonded", got)
	}
	for _, c := range []struct {
		bond uint64
		want Capacity
	}{
		{424_000_000, host},
		{1 << 63, host},
		{212_000_000, Capacity{Cores: 32, MemoryMiB: 128 << 10, DiskGiB: 2000}},
		{423_999_999, Capacity{Cores: 63, MemoryMiB: 256<<10 - 1, DiskGiB: 3999}},
		{0, Capacity{}},
	} {
		if got := host.Covered(c.bond, rates); got != c.want {
			t.Errorf("%d uhip cover %+v, want %+v", c.bond, got, c.want)
		}
	}
	if got := host.Covered(0, BondRates{}); got != host {
		t.Errorf("without rates %+v is covered", got)
	}
	most := Capacity{Cores: MaxCores, MemoryMiB: MaxMemoryMiB, DiskGiB: MaxDiskGiB}
	highest := BondRates{Core: MaxBondRate, MemoryGiB: MaxBondRate, DiskGiB: MaxBondRate}
	if got, want := most.Bond(highest), uint64(MaxBondRate)*(MaxCores+MaxMemoryMiB/1024+MaxDiskGiB); got != want {
		t.Errorf("the largest bond is %d, want %d", got, want)
	}
}

func FuzzCovered(f *testing.F) {
	f.Add(uint32(4096), uint64(64<<20), uint64(16<<20), uint64(1_000_000_000), uint64(5_000_000), uint64(250_000), uint64(1_000_000))
	f.Fuzz(func(t *testing.T, cores uint32, mem, disk, bond, core, gib, unit uint64) {
		c := Capacity{cores%MaxCores + 1, mem%MaxMemoryMiB + 1, disk%MaxDiskGiB + 1}
		r := BondRates{core % (MaxBondRate + 1), gib % (MaxBondRate + 1), unit % (MaxBondRate + 1)}
		within := func(less, more Capacity) bool {
			return less.Cores <= more.Cores && less.MemoryMiB <= more.MemoryMiB && less.DiskGiB <= more.DiskGiB
		}
		got := c.Covered(bond, r)
		if !within(got, c) || got.Bond(r) > bond {
			t.Fatalf("%d uhip cover %+v of %+v, which need %d", bond, got, c, got.Bond(r))
		}
		if more := c.Covered(bond+bond/2, r); bond+bond/2 > bond && !within(got, more) {
			t.Fatalf("more covers less: %+v, %+v", got, more)
		}
		if bond >= c.Bond(r) != (got == c) && c.Bond(r) != 0 {
			t.Fatalf("%d uhip cover %+v of %+v, which need %d", bond, got, c, c.Bond(r))
		}
	})
}
