package types

import "context"

// CreateGate says whether an account could create a VM now; x/marketplace
// offers it. Address blocks and lighthouse addresses are scarce, so only such
// accounts are given one.
type CreateGate interface {
	RequireCreate(ctx context.Context, account string) error
}

// Credits that rents are paid from; x/credits offers it.
type Credits interface {
	// Consume takes ucredit of an account; with no miner nobody earns it as a server of VMs.
	Consume(ctx context.Context, account string, ucredit uint64, miner string) error
}
