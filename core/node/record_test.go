package node

import (
	"math"
	"testing"
)

const recordNow = 1_800_000_000

func record(booted, failed int) (r Record) {
	for range booted {
		r = r.Boot(recordNow)
	}
	for range failed {
		r = r.Fail(recordNow)
	}
	return r
}

func TestQuality(t *testing.T) {
	for _, c := range []struct {
		booted, failed int
		want           uint64
	}{
		{0, 0, 8000},
		{0, 1, 2666},
		{0, 4, 888},
		{10, 0, 9333},
		{100, 0, 9904},
		{100, 1, 9043}, // a busy miner is hardly harmed by one
		{100, 20, 3409},
		{3, 3, 1842},
	} {
		if got := record(c.booted, c.failed).Quality(recordNow); got != c.want {
			t.Errorf("%d booted, %d failed: %d, want %d", c.booted, c.failed, got, c.want)
		}
	}
	most := Record{Proven: math.MaxUint64, BootedParts: math.MaxUint32, FailedParts: math.MaxUint32, HalvedAt: recordNow}
	if got := most.Fail(recordNow).Boot(recordNow).Prove(recordNow); got != most || got.Quality(recordNow) != 909 {
		t.Errorf("%+v with quality %d", got, got.Quality(recordNow))
	}
}

// What was long ago counts less, and at last nothing.
func TestRecordFades(t *testing.T) {
	r := record(8, 5)
	for _, c := range []struct {
		after          int64
		booted, failed uint32
	}{
		{0, 8192, 5120},
		{RecordHalf - 1, 8192, 5120},
		{RecordHalf, 4096, 2560},
		{2 * RecordHalf, 2048, 1280},
		{3*RecordHalf + 7, 1024, 640},
		{11 * RecordHalf, 4, 2},
		{13 * RecordHalf, 1, 0},
		{100 * RecordHalf, 0, 0},
		{-9, 8192, 5120},
	} {
		if got := r.Boot(recordNow + c.after); got.BootedParts != c.booted+RecordParts || got.FailedParts != c.failed || got.Proven != 0 {
			t.Errorf("after %d s: %+v", c.after, got)
		}
		// In between nothing is lost.
		const later = recordNow + 4*RecordHalf
		if a, b := r.at(recordNow+c.after).Quality(later), r.Quality(later); a != b && c.after <= later-recordNow {
			t.Errorf("looked at after %d s: %d, else %d", c.after, a, b)
		}
	}
	if got := r.Quality(recordNow + 50*RecordHalf); got != (Record{}).Quality(0) {
		t.Errorf("at last %d", got)
	}
}

func TestSlotsOfANewcomer(t *testing.T) {
	rules := NewcomerRules{VMs: 4, Proven: 10}
	for _, c := range []struct {
		proven uint64
		trials uint32
		want   uint32
	}{
		{0, 0, 4}, {0, 3, 1}, {0, 4, 0}, {0, 9, 0}, {9, 1, 3}, {10, 0, math.MaxUint32}, {10, 500, math.MaxUint32},
	} {
		if got := (Record{Proven: c.proven, FailedParts: 5, Trials: c.trials}).Slots(rules); got != c.want {
			t.Errorf("%d proven, %d on trial: %d, want %d", c.proven, c.trials, got, c.want)
		}
	}
	if got := (Record{Trials: 7}).Slots(NewcomerRules{}); got != math.MaxUint32 {
		t.Errorf("without rules %d", got)
	}
}

// Whenever a miner fails a VM, that counts for days: no time at which counts are halved wipes it.
func TestSingleFailureLastsBeyondTheNextHalving(t *testing.T) {
	busy := Record{}.Boot(recordNow) // since when its counts are halved
	for _, c := range []struct {
		name        string
		before      Record
		at, later   int64
		least, most uint64
	}{
		{"a second before", busy, RecordHalf - 1, 1, 4000, 5000},
		{"half a day before", busy, RecordHalf / 2, RecordHalf / 2, 4000, 5000},
		{"of a newcomer, a day later", Record{}, 5, RecordHalf, 4000, 4000},
		{"of a newcomer, two days later", Record{}, 5, 2 * RecordHalf, 5333, 5333},
		{"of a newcomer, nine days later", Record{}, 5, 9 * RecordHalf, 7900, 7999},
		{"of a newcomer, eleven days later", Record{}, 5, 11 * RecordHalf, 8000, 8000},
	} {
		at := recordNow + c.at
		if got := c.before.Fail(at).Quality(at + c.later); got < c.least || got > c.most {
			t.Errorf("%s: the quality is %d, want %d to %d", c.name, got, c.least, c.most)
		}
	}
}
