// Package types holds the messages, state and rules of form of x/marketplace.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module and its store.
	ModuleName = "marketplace"
	// StoreKey is the module's store.
	StoreKey = ModuleName
)

const (
	prefixParams = iota
	prefixPlans
	prefixImages
	prefixApps
	prefixMeters
	prefixDue
)

// ParamsPrefix is where the parameters are kept.
func ParamsPrefix() collections.Prefix { return collections.NewPrefix(prefixParams) }

// PlansPrefix is where plans are kept, by name.
func PlansPrefix() collections.Prefix { return collections.NewPrefix(prefixPlans) }

// ImagesPrefix is where images are kept, by name.
func ImagesPrefix() collections.Prefix { return collections.NewPrefix(prefixImages) }

// AppsPrefix is where applications are kept, by name.
func AppsPrefix() collections.Prefix { return collections.NewPrefix(prefixApps) }

// MetersPrefix is where meters are kept, by account.
func MetersPrefix() collections.Prefix { return collections.NewPrefix(prefixMeters) }

// DuePrefix is the queue of meters by the second they are looked at next.
func DuePrefix() collections.Prefix { return collections.NewPrefix(prefixDue) }

// Events of the module.
const (
	// EventSettled tells what a settlement took and, if anything, what it forgave.
	EventSettled = "hippius.marketplace.meter_settled"
	// EventDropped tells of attested time that the balance could not pay.
	EventDropped = "hippius.marketplace.meter_dropped"
	// EventLow warns that an account runs out within a day.
	EventLow = "hippius.marketplace.balance_low"
	// EventRunOut tells that an account reached its hold-back and its VMs are stopped.
	EventRunOut = "hippius.marketplace.balance_run_out"
	// EventEnding is a notice that an account's disks will be terminated when its hold-back is spent.
	EventEnding = "hippius.marketplace.balance_ending"
	// EventRecovered tells that an account is above its hold-back again.
	EventRecovered = "hippius.marketplace.balance_recovered"
	// EventCatalogue tells of a changed plan, image or application.
	EventCatalogue = "hippius.marketplace.catalogue_changed"
)

// Attributes of the module's events.
const (
	AttributeAccount  = "account"
	AttributeUcredit  = "ucredit"
	AttributeUnits    = "units"
	AttributeBalance  = "balance_ucredit"
	AttributeHoldback = "holdback_ucredit"
	AttributeRunway   = "runway_seconds"
	AttributeNotice   = "notice"
	AttributeKind     = "kind"
	AttributeName     = "name"
	AttributeRemoved  = "removed"
)
