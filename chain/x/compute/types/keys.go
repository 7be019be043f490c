// Package types holds the messages, state and rules of form of x/compute.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module and its store.
	ModuleName = "compute"
	// StoreKey is the module's store.
	StoreKey = ModuleName
)

// Prefixes of the module's store.
const (
	prefixParams = iota
	prefixKeys
	prefixVMs
	prefixInstances
	prefixOwners
	prefixLive
	prefixNames
	prefixAddresses
	prefixMiners
	prefixReleased
	prefixReleasedPrune
	prefixOldestHeight
	prefixDeadlines
	prefixQueue
	prefixQueued
	prefixQueueSeq
	prefixSweep
	prefixSweepVersion
	prefixTogether
	prefixSpread
	prefixTombstones
	prefixHeads
	prefixReportRates
	prefixAttestations
	prefixReady
	prefixSilenceActions
	prefixSearches
	prefixSweepAgain
	prefixExclusions
	prefixExclusionsDue
	prefixHalts
	prefixDealt
)

// ParamsPrefix is where the parameters are kept.
func ParamsPrefix() collections.Prefix { return collections.NewPrefix(prefixParams) }

// KeysPrefix is where SSH keys are kept, by owner and name.
func KeysPrefix() collections.Prefix { return collections.NewPrefix(prefixKeys) }

// VMsPrefix is where VMs are kept, by id, without instances and authorized keys.
func VMsPrefix() collections.Prefix { return collections.NewPrefix(prefixVMs) }

// InstancesPrefix is where instances are kept, by VM and sequence number.
func InstancesPrefix() collections.Prefix { return collections.NewPrefix(prefixInstances) }

// OwnersPrefix is the index of an owner's VMs, tombstones too.
func OwnersPrefix() collections.Prefix { return collections.NewPrefix(prefixOwners) }

// LivePrefix is the index of an owner's VMs that are not terminated.
func LivePrefix() collections.Prefix { return collections.NewPrefix(prefixLive) }

// NamesPrefix is the index from an owner's VM name to the VM.
func NamesPrefix() collections.Prefix { return collections.NewPrefix(prefixNames) }

// AddressesPrefix is the index from an owner's host number to the VM.
func AddressesPrefix() collections.Prefix { return collections.NewPrefix(prefixAddresses) }

// MinersPrefix is the index of the VMs a miner holds, by the height of their last change.
func MinersPrefix() collections.Prefix { return collections.NewPrefix(prefixMiners) }

// ReleasedPrefix is the index of the VMs a miner holds no more, by height.
func ReleasedPrefix() collections.Prefix { return collections.NewPrefix(prefixReleased) }

// ReleasedPrunePrefix is the queue of released entries to be forgotten, by time.
func ReleasedPrunePrefix() collections.Prefix { return collections.NewPrefix(prefixReleasedPrune) }

// OldestHeightPrefix is the oldest height a miner's cursor may name.
func OldestHeightPrefix() collections.Prefix { return collections.NewPrefix(prefixOldestHeight) }

// DeadlinesPrefix is the queue of VMs' deadlines, by time.
func DeadlinesPrefix() collections.Prefix { return collections.NewPrefix(prefixDeadlines) }

// QueuePrefix is where VMs wait for a miner, by class ("" for not tried yet) and order of arrival.
func QueuePrefix() collections.Prefix { return collections.NewPrefix(prefixQueue) }

// QueuedPrefix is the index from a VM to its place in the queue.
func QueuedPrefix() collections.Prefix { return collections.NewPrefix(prefixQueued) }

// QueueSeqPrefix counts arrivals in the queue.
func QueueSeqPrefix() collections.Prefix { return collections.NewPrefix(prefixQueueSeq) }

// SweepPrefix is how far the round over the parked classes has come.
func SweepPrefix() collections.Prefix { return collections.NewPrefix(prefixSweep) }

// SweepVersionPrefix is the version of the miners' available capacity when the last round began.
func SweepVersionPrefix() collections.Prefix { return collections.NewPrefix(prefixSweepVersion) }

// TogetherPrefix counts an owner's VMs on a miner.
func TogetherPrefix() collections.Prefix { return collections.NewPrefix(prefixTogether) }

// SpreadPrefix counts the VMs of an owner's spread group on a miner.
func SpreadPrefix() collections.Prefix { return collections.NewPrefix(prefixSpread) }

// TombstonesPrefix is the queue of terminated VMs to be forgotten, by time.
func TombstonesPrefix() collections.Prefix { return collections.NewPrefix(prefixTombstones) }

// HeadsPrefix is the ring of recent blocks, by height.
func HeadsPrefix() collections.Prefix { return collections.NewPrefix(prefixHeads) }

// ReportRatesPrefix is what each miner used of its reports without a fee.
func ReportRatesPrefix() collections.Prefix { return collections.NewPrefix(prefixReportRates) }

// AttestationsPrefix is where VMs' attestations are kept, by VM.
func AttestationsPrefix() collections.Prefix { return collections.NewPrefix(prefixAttestations) }

// ReadyPrefix counts the VMs that run and are proven.
func ReadyPrefix() collections.Prefix { return collections.NewPrefix(prefixReady) }

// SilenceActionsPrefix counts the VMs that were rebooted or stopped for their silence in the present hour.
func SilenceActionsPrefix() collections.Prefix { return collections.NewPrefix(prefixSilenceActions) }

// SearchesPrefix is how far miners were searched for a class that waits, by class.
func SearchesPrefix() collections.Prefix { return collections.NewPrefix(prefixSearches) }

// SweepAgainPrefix is whether another round over the parked classes is needed.
func SweepAgainPrefix() collections.Prefix { return collections.NewPrefix(prefixSweepAgain) }

// ExclusionsPrefix is until when a miner that failed a tenant is tried last for it, by owner and miner.
func ExclusionsPrefix() collections.Prefix { return collections.NewPrefix(prefixExclusions) }

// ExclusionsDuePrefix is the queue of exclusions, by the time at which they end.
func ExclusionsDuePrefix() collections.Prefix { return collections.NewPrefix(prefixExclusionsDue) }

// HaltsPrefix is when halts of the chain ended, by their length in seconds.
func HaltsPrefix() collections.Prefix { return collections.NewPrefix(prefixHalts) }

// DealtPrefix counts a VM's instances by the committee they were dealt to, by VM and epoch, until it is terminated.
func DealtPrefix() collections.Prefix { return collections.NewPrefix(prefixDealt) }
