package client

// ReportGas is the gas limit of a batch of so many reports.
func ReportGas(reports int) uint64 { return baseGas + gasPerReport*uint64(reports) }
