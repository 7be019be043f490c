// Package types holds the messages, state and rules of form of x/registry.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module, its store and the account that holds the bonds.
	ModuleName = "registry"
	// StoreKey is the module's store.
	StoreKey = ModuleName
	// Denom of the coin that is bonded.
	Denom = "uhip"
)

// Prefixes of the module's store.
const (
	prefixParams = iota
	prefixMiners
	prefixMinerIdentities
	prefixRings
	prefixRegions
	prefixUnbonding
	prefixCustodians
	prefixCustodianIdentities
	prefixCommittee
	prefixCommitteeStale
	prefixCapacityVersion
	prefixFormerCommittees
	prefixReplacedCommittees
	prefixLiveInstances
	prefixKeeperLocks
	prefixRingSizes
)

// ParamsPrefix is where the parameters are kept.
func ParamsPrefix() collections.Prefix { return collections.NewPrefix(prefixParams) }

// MinersPrefix is where miners are kept, by operator.
func MinersPrefix() collections.Prefix { return collections.NewPrefix(prefixMiners) }

// MinerIdentitiesPrefix is the index from a miner's identity key to its operator.
func MinerIdentitiesPrefix() collections.Prefix { return collections.NewPrefix(prefixMinerIdentities) }

// RingsPrefix is the index of miners with available capacity, by region ("" for all) and place on the ring.
func RingsPrefix() collections.Prefix { return collections.NewPrefix(prefixRings) }

// RegionsPrefix counts the active miners of each region.
func RegionsPrefix() collections.Prefix { return collections.NewPrefix(prefixRegions) }

// UnbondingPrefix is the queue of bonds to be returned, by time.
func UnbondingPrefix() collections.Prefix { return collections.NewPrefix(prefixUnbonding) }

// CustodiansPrefix is where share custodians are kept, by operator.
func CustodiansPrefix() collections.Prefix { return collections.NewPrefix(prefixCustodians) }

// CustodianIdentitiesPrefix is the index from a share custodian's identity key to its operator.
func CustodianIdentitiesPrefix() collections.Prefix {
	return collections.NewPrefix(prefixCustodianIdentities)
}

// CommitteePrefix is where the present committee is kept.
func CommitteePrefix() collections.Prefix { return collections.NewPrefix(prefixCommittee) }

// FormerCommitteesPrefix is where committees are kept that were replaced, by epoch.
func FormerCommitteesPrefix() collections.Prefix {
	return collections.NewPrefix(prefixFormerCommittees)
}

// ReplacedCommitteesPrefix is the queue of former committees that still take deals, by the time they were replaced.
func ReplacedCommitteesPrefix() collections.Prefix {
	return collections.NewPrefix(prefixReplacedCommittees)
}

// LiveInstancesPrefix counts the instances of VMs not terminated that were dealt to a committee, by epoch.
func LiveInstancesPrefix() collections.Prefix { return collections.NewPrefix(prefixLiveInstances) }

// KeeperLocksPrefix is where it is kept what stake of members' operators is locked, by operator.
func KeeperLocksPrefix() collections.Prefix { return collections.NewPrefix(prefixKeeperLocks) }

// CommitteeStalePrefix is set when the committee must be computed anew.
func CommitteeStalePrefix() collections.Prefix { return collections.NewPrefix(prefixCommitteeStale) }

// CapacityVersionPrefix counts how often the available capacity of a miner grew.
func CapacityVersionPrefix() collections.Prefix { return collections.NewPrefix(prefixCapacityVersion) }

// RingSizesPrefix counts the miners on the ring of each region, "" for all.
func RingSizesPrefix() collections.Prefix { return collections.NewPrefix(prefixRingSizes) }

// Events of the module.
const (
	EventMinerRegistered  = "hippius.registry.miner_registered"
	EventMinerDraining    = "hippius.registry.miner_draining"
	EventMinerResumed     = "hippius.registry.miner_resumed"
	EventMinerUnbonding   = "hippius.registry.miner_unbonding"
	EventMinerGone        = "hippius.registry.miner_gone"
	EventMinerFailed      = "hippius.registry.miner_failed"
	EventKeeperRegistered = "hippius.registry.keeper_registered"
	EventCommittee        = "hippius.registry.committee_changed"
)

// Attributes of the module's events.
const (
	AttributeOperator  = "operator"
	AttributeRegion    = "region"
	AttributeBond      = "bond_uhip"
	AttributeUntil     = "until"
	AttributeEpoch     = "epoch"
	AttributeKeepers   = "keepers"
	AttributeThreshold = "threshold"
	AttributeShares    = "shares"
	AttributeQuality   = "quality"
)
