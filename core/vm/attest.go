package vm

// Attested is how many seconds up to t may be charged when something was last
// seen alive at last: the whole interval if it is at most maxGap seconds long,
// else nothing of it, for nobody saw what was between. Zero for last means
// never seen.
func Attested(last, t, maxGap int64) int64 {
	if last <= 0 || t <= last || t-last > maxGap {
		return 0
	}
	return t - last
}
