// Package types holds the messages and state of x/ranking.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module, its store and the account that holds unclaimed earnings.
	ModuleName = "ranking"
	// StoreKey is the module's store.
	StoreKey = ModuleName
	// Denom of what is earned.
	Denom = "uhip"
)

const prefixEarnings = iota

// EarningsPrefix is where earnings are kept, by operator.
func EarningsPrefix() collections.Prefix { return collections.NewPrefix(prefixEarnings) }

// EventClaimed is given when a miner is paid; its attributes are operator and uhip.
const (
	EventClaimed      = "hippius.ranking.claimed"
	AttributeOperator = "operator"
	AttributeUhip     = "uhip"
)
