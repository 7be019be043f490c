package node

import "math"

const (
	// RecordHalf is how long until what a miner did counts half, in seconds.
	RecordHalf = 24 * 3600
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
	// Booted are the VMs whose guests came to prove themselves on it, Failed those that did not come to run, each halved every
	// RecordHalf.
	Booted, Failed uint32
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
	r.Booted += min(1, math.MaxUint32-r.Booted)
	return r
}

// Fail notes, at a time, a VM that did not come to run.
func (r Record) Fail(now int64) Record {
	r = r.at(now)
	r.Failed += min(1, math.MaxUint32-r.Failed)
	return r
}

// Quality at a time, 1 to Full: the part of the VMs lately that came to run, where a miner begins with some.
func (r Record) Quality(now int64) uint64 {
	r = r.at(now)
	good, all := newcomerGood+uint64(r.Booted), newcomerAll+uint64(r.Booted)+failureWeight*uint64(r.Failed)
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
	if r.Booted == 0 && r.Failed == 0 {
		r.HalvedAt = now
		return r
	}
	n := max(now-r.HalvedAt, 0) / RecordHalf
	by := min(uint(n), 32)
	r.Booted, r.Failed, r.HalvedAt = r.Booted>>by, r.Failed>>by, r.HalvedAt+n*RecordHalf
	return r
}
