// Package params is those of the chain's parameters that its clients reckon with.
package params

import (
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
)

// Params in force. Amounts of credit are in ucredit, of coins in uhip.
type Params struct {
	// UhipPerCredit is the price of one credit that is in force; at least 1. Credits are sold at the highest of 7 days.
	UhipPerCredit uint64
	// Fees are what transactions cost.
	Fees   credit.Fees
	Prices plan.Prices
	// MinCreateUcredit is what balance plus fees since the last purchase must reach to create a VM.
	MinCreateUcredit uint64
	MinBondUhip      uint64
	// Bonds are what a miner bonds for what it offers; of an offer with less, the part that the bond covers counts.
	Bonds node.BondRates
	// Newcomers are how many VMs a miner holds that has not shown that it runs them.
	Newcomers node.NewcomerRules
	// CPUOvercommit is how many vCPUs are sold per core, in parts of 100.
	CPUOvercommit uint32
	// SilenceSeconds after its last batch a miner gets no new VM.
	SilenceSeconds int64
	// MaxProofGapSeconds between two proofs for the time between to count as attested.
	MaxProofGapSeconds int64
}
