package node

import (
	"errors"
	"math"
	"testing"
)

func TestValidate(t *testing.T) {
	good := Capacity{Cores: 4, MemoryMiB: 8192, DiskGiB: 100}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Capacity{
		{0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {MaxCores + 1, 1, 1}, {1, MaxMemoryMiB + 1, 1}, {1, 1, MaxDiskGiB + 1},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v accepted", c)
		}
	}
}

func TestAvailableCapacity(t *testing.T) {
	c := Capacity{Cores: 3, MemoryMiB: 8192, DiskGiB: 100}
	u := Usage{VMs: 1, VCPUs: 2, MemoryMiB: 2048, DiskGiB: 18}
	a := AvailableCapacity(c, u, 150) // 4.5 sold as 4
	if want := (Available{2, 6144, 82}); a != want {
		t.Fatalf("got %+v", a)
	}
	if !a.Fits(Demand{2, 6144, 82}) || a.Fits(Demand{3, 1, 1}) || a.Fits(Demand{1, 6145, 1}) || a.Fits(Demand{1, 1, 83}) {
		t.Error("fits wrongly")
	}
	if got := a.Share(c, 150); got != 5000 {
		t.Errorf("share %d", got)
	}
	if a := AvailableCapacity(Capacity{1, 1024, 10}, u, 100); a.Any() || a != (Available{}) {
		t.Errorf("a shrunk host has %+v available", a)
	}
}

func FuzzUsage(f *testing.F) {
	f.Add(uint32(1), uint64(2048), uint64(18), uint32(4), uint64(1), uint64(1))
	f.Add(uint32(math.MaxUint32), uint64(math.MaxUint64), uint64(1), uint32(1), uint64(1), uint64(1))
	f.Fuzz(func(t *testing.T, cpu uint32, mem, disk uint64, cpu2 uint32, mem2, disk2 uint64) {
		u := Usage{1, cpu, mem, disk}
		d := Demand{cpu2, mem2, disk2}
		more, err := u.Add(d)
		if err != nil {
			return
		}
		if more.VCPUs < u.VCPUs || more.MemoryMiB < u.MemoryMiB || more.DiskGiB < u.DiskGiB {
			t.Fatalf("%+v + %+v = %+v", u, d, more)
		}
		if back, err := more.Sub(d); err != nil || back != u {
			t.Fatalf("%+v - %+v = %+v, %v", more, d, back, err)
		}
		if _, err := (Usage{}).Sub(d); !errors.Is(err, ErrNotHeld) {
			t.Fatalf("released from nothing: %v", err)
		}
	})
}
