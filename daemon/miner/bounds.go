package miner

// Bounds of the settings and of what VMs are told, for the test that compares them with what must fit in.
const (
	MaxPoll        = maxPoll
	MaxReportEvery = maxReportEvery
	MaxProofEvery  = maxProofEvery
	MaxEndpoints   = maxEndpoints
	MaxAllowed     = maxAllowed
)
