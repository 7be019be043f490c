package vm

// ReportRules say how many batches of reports a miner has without a fee. Times are in seconds.
type ReportRules struct {
	// Every so often it may send one. Up to Burst, at least 1, may come at once if it sent fewer before.
	Every int64
	Burst int64
	// EmptyEvery so often one of them may have no reports; one that comes up to Every early is made up for by the next.
	EmptyEvery int64
	// Spare reports may be in one beside those of the VMs that the miner holds, as of those it held lately.
	Spare uint64
	// Gas is the highest gas limit of one; GasPerVM comes on top for each VM that the miner holds, if it is not empty.
	Gas      uint64
	GasPerVM uint64
}

// ReportAllowance is what a miner used of them. Times are unix seconds; the zero value has used nothing.
type ReportAllowance struct {
	// UsedUntil is when all it used is restored.
	UsedUntil int64
	// EmptyUntil is when the empty ones it used are restored.
	EmptyUntil int64
}

// Take uses the allowance for a batch with so many reports and a gas limit, of a miner that holds so many VMs; ok is false
// if there is none left for it, and then nothing was used.
func (a ReportAllowance) Take(r ReportRules, now int64, reports int, gas, vms uint64) (left ReportAllowance, ok bool) {
	limit := r.Gas
	if reports > 0 {
		limit += r.GasPerVM * vms
	}
	used := max(a.UsedUntil, now)
	switch {
	case gas > limit || uint64(reports) > vms+r.Spare:
		return a, false
	case used-now > r.Every*(r.Burst-1):
		return a, false
	case reports == 0 && a.EmptyUntil-now > r.Every:
		return a, false
	}
	a.UsedUntil = used + r.Every
	if reports == 0 {
		a.EmptyUntil = max(a.EmptyUntil, now) + r.EmptyEvery
	}
	return a, true
}
