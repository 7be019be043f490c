package plan

// A disk is never shrunk: what lies at its end would be lost.

// Keeping is the plan's size on a disk of so many GiB: as large as the plan's,
// or as the disk is already.
func (p Plan) Keeping(diskGiB uint64) Plan {
	p.DiskGiB = max(p.DiskGiB, diskGiB)
	return p
}

// SameSize reports whether both are alike in all that a machine has of a plan.
func SameSize(a, b Plan) bool {
	return a.DiskGiB == b.DiskGiB && !NeedsRestart(a, b)
}

// NeedsRestart reports whether a machine has to be restarted to come from one
// size to another: all but the disk is fixed when it starts.
func NeedsRestart(from, to Plan) bool {
	return from.VCPUs != to.VCPUs || from.MemoryMiB != to.MemoryMiB || from.IOPS != to.IOPS ||
		from.DiskBytesPerSecond != to.DiskBytesPerSecond || from.NetworkBitsPerSecond != to.NetworkBitsPerSecond
}
