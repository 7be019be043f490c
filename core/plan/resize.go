package plan

// A disk is never shrunk: what lies at its end would be lost.

// Keeping is the size on a disk that has so many GiB already: the larger of both.
func (s Size) Keeping(diskGiB uint64) Size {
	s.DiskGiB = max(s.DiskGiB, diskGiB)
	return s
}

// NeedsRestart reports whether a VM has to be restarted to come from one
// size to another: all but the disk is fixed when it starts.
func NeedsRestart(from, to Size) bool {
	return from.VCPUs != to.VCPUs || from.MemoryMiB != to.MemoryMiB || from.IOPS != to.IOPS ||
		from.DiskBytesPerSecond != to.DiskBytesPerSecond || from.NetworkBitsPerSecond != to.NetworkBitsPerSecond
}
