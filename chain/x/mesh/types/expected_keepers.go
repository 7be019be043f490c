package types

import "context"

// CreateGate says whether an account could create a VM now; x/marketplace
// offers it. Address blocks and lighthouse addresses are scarce, so only such
// accounts are given one.
type CreateGate interface {
	RequireCreate(ctx context.Context, account string) error
}
