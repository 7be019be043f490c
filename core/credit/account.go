package credit

// Balance of one account.
type Balance struct {
	// Ucredit the account holds.
	Ucredit uint64
	// FeesSincePurchase counts the fees paid out of it since the last purchase, in ucredit.
	FeesSincePurchase uint64
	// Backing is what is left of the uhip that bought the credits. It is the most that consuming them releases.
	Backing uint64
}

// Statement is what an account is charged, as of a block.
type Statement struct {
	Meter Meter
	// PerHour is the rate now, all miners together; Accrued is attested and unsettled. In ucredit.
	PerHour, Accrued uint64
	// OwedUnits is Accrued in units, with the meter's carry.
	OwedUnits uint64
	// Holdback that stays when the rest has run out, and Balance, in ucredit.
	Holdback, Balance uint64
	// RunwaySeconds until run-out at the present rate, if HasRunway: nothing is charged otherwise.
	RunwaySeconds uint64
	HasRunway     bool
	// BlockTime in unix seconds.
	BlockTime int64
}

// Earnings of one miner.
type Earnings struct {
	// AccruedUhip can be claimed, ClaimedUhip was.
	AccruedUhip, ClaimedUhip uint64
	// ServedUcredit is what its VMs' tenants consumed.
	ServedUcredit uint64
}
