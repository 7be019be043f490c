// Package types holds the messages, state and rules of form of x/credits.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module, its store and the account that holds the reserve.
	ModuleName = "credits"
	// StoreKey is the module's store.
	StoreKey = ModuleName
	// TransientStoreKey is the store of what a block released, emptied at its end.
	TransientStoreKey = "transient_" + ModuleName
	// TreasuryName is the module account that receives the treasury's share.
	TreasuryName = "treasury"
	// Denom of the coin that is deposited and released.
	Denom = "uhip"
)

// Prefixes of the module's store.
const (
	prefixParams = iota
	prefixTotals
	prefixBalances
	prefixReferences
	prefixPrices
)

// ParamsPrefix is where the parameters are kept.
func ParamsPrefix() collections.Prefix { return collections.NewPrefix(prefixParams) }

// TotalsPrefix is where the books are kept.
func TotalsPrefix() collections.Prefix { return collections.NewPrefix(prefixTotals) }

// BalancesPrefix is where the accounts' balances are kept, by address.
func BalancesPrefix() collections.Prefix { return collections.NewPrefix(prefixBalances) }

// ReferencesPrefix is where used references are kept.
func ReferencesPrefix() collections.Prefix { return collections.NewPrefix(prefixReferences) }

// PricesPrefix is where the prices of the last 7 days are kept.
func PricesPrefix() collections.Prefix { return collections.NewPrefix(prefixPrices) }

// Prefixes of the transient store.
const (
	prefixEarned = iota
	prefixServed
	prefixStakers
	prefixTreasury
	prefixPaid
	prefixPaidUpTo
)

// EarnedPrefix is what each miner earned in this block, in uhip.
func EarnedPrefix() collections.Prefix { return collections.NewPrefix(prefixEarned) }

// ServedPrefix is what was consumed on each miner in this block, in ucredit.
func ServedPrefix() collections.Prefix { return collections.NewPrefix(prefixServed) }

// StakersPrefix is what this block released to validators and stakers, in uhip.
func StakersPrefix() collections.Prefix { return collections.NewPrefix(prefixStakers) }

// TreasuryPrefix is what this block released to the treasury, in uhip.
func TreasuryPrefix() collections.Prefix { return collections.NewPrefix(prefixTreasury) }

// PaidPrefix is what each account paid in fees in this block, in ucredit.
func PaidPrefix() collections.Prefix { return collections.NewPrefix(prefixPaid) }

// PaidUpToPrefix is what of it each account paid up to a transaction of the block, by its place.
func PaidUpToPrefix() collections.Prefix { return collections.NewPrefix(prefixPaidUpTo) }

// Events of the module, each with the attributes it is given in the README.
const (
	EventBought   = "hippius.credits.bought"
	EventConsumed = "hippius.credits.consumed"
	EventReleased = "hippius.credits.released"
	EventCoinFee  = "hippius.credits.coin_fee"
	EventAdded    = "hippius.credits.reserve_added"
	EventSpent    = "hippius.credits.buffer_spent"
	EventPrice    = "hippius.credits.price_changed"
)

// Attributes of the module's events.
const (
	AttributeAccount   = "account"
	AttributeBuyer     = "buyer"
	AttributeMiner     = "miner"
	AttributeReference = "reference"
	AttributeRecipient = "recipient"
	AttributeSender    = "sender"
	AttributeUcredit   = "ucredit"
	AttributeUhip      = "uhip"
	AttributeMiners    = "miners_uhip"
	AttributeStakers   = "stakers_uhip"
	AttributeTreasury  = "treasury_uhip"
)

// Recipients of the buffer that are no accounts.
const (
	// RecipientStakers are validators and stakers, through x/distribution.
	RecipientStakers = "stakers"
	// RecipientTreasury is the treasury's account.
	RecipientTreasury = "treasury"
)
