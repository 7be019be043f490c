package node

import "math"

const (
	// RecordHalf is how long until what a miner did counts half, in seconds.
	RecordHalf = 24 * 3600
	// RecordParts of one VM are counted, so that it counts for ten times RecordHalf, and no time at which counts are halved wipes it.
	RecordParts = 1024
	// A miner of which nothing is known lately has the quality of newcomerGood VMs of newcomerAll. One that did not come to run
	// weighs as much as failureWeight that did.
	newcomerGood  = 4
	newcomerAll   = 5
	failureWeight = 10
)

// Record is how a miner did with the VMs that it was given. The zero value has been given none.
type Record struct {
	// Proven counts the VMs that proved themselves on it for as long as the chain asks, all in all.
	Proven uint64
	// BootedParts are of the VMs whose guests came to prove themselves on it, FailedParts of those that did not come to run, RecordParts
	// of each VM, halved every RecordHalf.
	BootedParts, FailedParts uint32
	// HalvedAt is when they were halved last, or began, unix seconds.
	HalvedAt int64
	// Trials are the VMs that it holds, are not off, and have not run for as long as the chain asks.
	Trials uint32
}

// NewcomerRules bound what a miner holds that has not shown that it runs VMs.
type NewcomerRules struct {
	// VMs on trial that it holds at most, until Proven have proven themselves on it.
	VMs    uint32
	Proven uint64
}

// Prove notes a VM that proved itself for as long as the chain asks.
func (r Record) Prove(int64) Record {
	r.Proven += min(1, math.MaxUint64-r.Proven)
	return r
}

// Boot notes, at a time, a VM whose guest came to prove itself.
func (r Record) Boot(now int64) Record {
	r = r.at(now)
	r.BootedParts += min(RecordParts, math.MaxUint32-r.BootedParts)
	return r
}

// Fail notes, at a time, a VM that did not come to run.
func (r Record) Fail(now int64) Record {
	r = r.at(now)
	r.FailedParts += min(RecordParts, math.MaxUint32-r.FailedParts)
	return r
}

// Quality at a time, 1 to Full: the part of the VMs lately that came to run, where a miner begins with some.
func (r Record) Quality(now int64) uint64 {
	r = r.at(now)
	good := newcomerGood*RecordParts + uint64(r.BootedParts)
	all := newcomerAll*RecordParts + uint64(r.BootedParts) + failureWeight*uint64(r.FailedParts)
	return max(good*Full/all, 1)
}

// Try notes that a VM is on trial.
func (r Record) Try(int64) Record {
	r.Trials += min(1, math.MaxUint32-r.Trials)
	return r
}

// Tried notes that a VM is not on trial any more.
func (r Record) Tried(int64) Record {
	r.Trials -= min(1, r.Trials)
	return r
}

// Slots is how many more VMs a miner may be given.
func (r Record) Slots(rules NewcomerRules) uint32 {
	if r.Proven >= rules.Proven {
		return math.MaxUint32
	}
	return rules.VMs - min(r.Trials, rules.VMs)
}

// at is the record as it counts at a time.
func (r Record) at(now int64) Record {
	if r.BootedParts == 0 && r.FailedParts == 0 {
		r.HalvedAt = now
		return r
	}
	n := max(now-r.HalvedAt, 0) / RecordHalf
	by := min(uint(n), 32)
	r.BootedParts, r.FailedParts, r.HalvedAt = r.BootedParts>>by, r.FailedParts>>by, r.HalvedAt+n*RecordHalf
	return r
}
