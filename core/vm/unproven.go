package vm

// BootAllowance is for how long, in seconds, a start is not charged: of a VM with data always, of one that was never proven if the guest
// gives its first proof late, or its host failed it. It is longer than most boots take, and about what a start's fees pay of the largest plan.
const BootAllowance = 120

// UnprovenCharge is the part of a run that is charged on its host's word, as times, of a guest that should prove itself: the run was
// reported without a gap from one time to another, and in it the guest gave no proof. It is for runs after the one that costs nothing;
// which that is, the caller decides.
//
// A run that ends without a proof is charged from its begin. One with an excuse, because the guest proved itself after all or because
// its host gave it up before it could be expected to, is charged from BootAllowance after its begin. Neither is charged beyond
// SilenceSeconds and two gaps: hosts give a guest up by then, and one that does not is paid no more. There is no charge if the first
// time is not before the second.
func (r AttestRules) UnprovenCharge(from, to int64, excused bool) (begin, end int64) {
	end = min(to, from+r.SilenceSeconds+2*r.Gap)
	if excused {
		from += BootAllowance
	}
	return from, end
}
