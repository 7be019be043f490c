package client

// Bounds of answers and listings, for the test that compares them with what must fit in.
const (
	PageSize    = pageSize
	TenantsPage = tenantsPage
	MaxListed   = maxListed
	MaxExcluded = maxExcluded
)

// ReportGas is the gas limit of a batch of so many reports.
func ReportGas(reports int) uint64 { return baseGas + gasPerReport*uint64(reports) }

// InstancesGas is the gas limit of an order or a deal of so many instances with so many receipts each.
func InstancesGas(instances, receipts int) uint64 {
	return baseGas + uint64(instances)*(gasPerInstance+gasPerReceipt*uint64(receipts))
}

// FingerprintsGas is the gas limit of revoking so many certificates.
func FingerprintsGas(fingerprints int) uint64 {
	return baseGas + gasPerFingerprint*uint64(fingerprints)
}
