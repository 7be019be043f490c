package keeper

// Bounds of deals, listings and searches, for the test that compares them with what must fit in.
const (
	MaxAhead    = maxAhead
	MaxVMPage   = maxVMPage
	MaxExcluded = maxExcluded
	MaxWalk     = maxWalk
	MaxWindows  = maxWindows

	MaxReportGas = maxReportGas
	PruneSeconds = pruneSeconds
)
