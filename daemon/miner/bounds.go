package miner

// Bounds of the settings and of what VMs are told, for the test that compares them with what must fit in.
const (
	MaxPoll        = maxPoll
	MaxReportEvery = maxReportEvery
	MaxProofEvery  = maxProofEvery
	MaxStopTimeout = maxStopTimeout
	MaxEndpoints   = maxEndpoints
	MaxAllowed     = maxAllowed
)

// RunBytes of the run folder's tmpfs, of a host with so many cores and MiB of memory.
func RunBytes(cores, memoryMiB uint64) uint64 { return runBytes(cores, memoryMiB) }
