package types

import (
	"context"

	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/core/credit"
)

// CreditsKeeper is what the module needs of x/credits.
type CreditsKeeper interface {
	Balance(ctx context.Context, account string) (creditstypes.Balance, error)
	Consume(ctx context.Context, account string, ucredit uint64, miner string) error
}

// Hooks are called when a meter demands something of the module that runs VMs.
type Hooks interface {
	// Owed is what the account's VMs are attested and is not settled, in units.
	Owed(ctx context.Context, account string) (uint64, error)
	// Collect takes what the account's VMs were attested before a time, unix seconds, at most payable units in all;
	// what is more is dropped.
	Collect(ctx context.Context, account string, before int64, payable uint64) (Collected, error)
	// AfterRunOut stops all that the account has running. It may be called again while the account stays out of credit.
	AfterRunOut(ctx context.Context, account string) error
	// AfterSpent terminates all that miners keep for the account: nothing is left to pay for it.
	AfterSpent(ctx context.Context, account string) error
}

// Collected is what an account's VMs were attested.
type Collected struct {
	// Parts to be settled, in the order of the VMs.
	Parts []credit.Part
	// Dropped and Left are what was dropped, and what is younger than the time, in units.
	Dropped, Left uint64
	// VMs that were looked at.
	VMs int
}
