package types

import (
	"context"

	creditstypes "github.com/hippius/compute/chain/x/credits/types"
)

// CreditsKeeper is what the module needs of x/credits.
type CreditsKeeper interface {
	Balance(ctx context.Context, account string) (creditstypes.Balance, error)
	Consume(ctx context.Context, account string, ucredit uint64, miner string) error
}

// Hooks are called when a meter demands something of the module that runs VMs.
type Hooks interface {
	// AfterRunOut stops all that the account has running. It may be called again while the account stays out of credit.
	AfterRunOut(ctx context.Context, account string) error
}
