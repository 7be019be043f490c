// Package types holds the messages, state and rules of form of x/mesh.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module and its store.
	ModuleName = "mesh"
	// StoreKey is the module's store.
	StoreKey = ModuleName
)

// Prefixes of the module's store.
const (
	prefixParams = iota
	prefixTenants
	prefixTenantsByIndex
	prefixNextIndex
	prefixFreeIndices
	prefixChanged
	prefixReleases
	prefixLighthouses
	prefixLighthousesByNumber
	prefixLighthouseCount
	prefixNextNumber
	prefixFreeNumbers
	prefixExpiries
	prefixFrees
	prefixHeldAddresses
)

// ParamsPrefix is where the parameters are kept.
func ParamsPrefix() collections.Prefix { return collections.NewPrefix(prefixParams) }

// TenantsPrefix is where tenants are kept, by owner.
func TenantsPrefix() collections.Prefix { return collections.NewPrefix(prefixTenants) }

// TenantsByIndexPrefix is the index from a block to the tenant that has it.
func TenantsByIndexPrefix() collections.Prefix { return collections.NewPrefix(prefixTenantsByIndex) }

// NextIndexPrefix is the first block that was never allocated.
func NextIndexPrefix() collections.Prefix { return collections.NewPrefix(prefixNextIndex) }

// FreeIndicesPrefix is where blocks wait that were allocated and released.
func FreeIndicesPrefix() collections.Prefix { return collections.NewPrefix(prefixFreeIndices) }

// ChangedPrefix is the index of tenants by the height of their last change.
func ChangedPrefix() collections.Prefix { return collections.NewPrefix(prefixChanged) }

// ReleasesPrefix is the queue of blocks to be released, by time.
func ReleasesPrefix() collections.Prefix { return collections.NewPrefix(prefixReleases) }

// LighthousesPrefix is where lighthouses are kept, by operator.
func LighthousesPrefix() collections.Prefix { return collections.NewPrefix(prefixLighthouses) }

// LighthousesByNumberPrefix is the index from an address's number to the lighthouse's operator.
func LighthousesByNumberPrefix() collections.Prefix {
	return collections.NewPrefix(prefixLighthousesByNumber)
}

// LighthouseCountPrefix is how many lighthouses there are.
func LighthouseCountPrefix() collections.Prefix { return collections.NewPrefix(prefixLighthouseCount) }

// NextNumberPrefix is the first lighthouse number that was never given.
func NextNumberPrefix() collections.Prefix { return collections.NewPrefix(prefixNextNumber) }

// FreeNumbersPrefix is where lighthouse numbers wait that were given and are free again.
func FreeNumbersPrefix() collections.Prefix { return collections.NewPrefix(prefixFreeNumbers) }

// ExpiriesPrefix is the queue of lighthouses by the end of their rent.
func ExpiriesPrefix() collections.Prefix { return collections.NewPrefix(prefixExpiries) }

// FreesPrefix is the queue of held addresses by the time they become free.
func FreesPrefix() collections.Prefix { return collections.NewPrefix(prefixFrees) }

// HeldAddressesPrefix is where addresses of lighthouses that left are kept, by operator.
func HeldAddressesPrefix() collections.Prefix { return collections.NewPrefix(prefixHeldAddresses) }

// Events of the module.
const (
	EventTenantRegistered     = "hippius.mesh.tenant_registered"
	EventTenantCA             = "hippius.mesh.tenant_ca_set"
	EventBlockReleased        = "hippius.mesh.block_released"
	EventDeviceAdded          = "hippius.mesh.device_added"
	EventDeviceRemoved        = "hippius.mesh.device_removed"
	EventRevoked              = "hippius.mesh.revoked"
	EventLighthouseRegistered = "hippius.mesh.lighthouse_registered"
	EventLighthouseRemoved    = "hippius.mesh.lighthouse_removed"
	EventLighthouseExpired    = "hippius.mesh.lighthouse_expired"
)

// Attributes of the module's events.
const (
	AttributeOwner    = "owner"
	AttributeNetworks = "networks"
	AttributeDevice   = "device"
	AttributeAddress  = "address"
	AttributeCount    = "count"
	AttributeOperator = "operator"
	AttributeUntil    = "until"
)
