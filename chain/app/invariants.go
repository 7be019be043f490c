package app

import (
	"errors"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// CheckInvariants says which of our modules' invariants are violated, if any. It reads
// whole tables: for tests and test networks, after every block.
func (a *App) CheckInvariants(ctx sdk.Context) error {
	var errs []error
	for _, m := range []struct {
		name  string
		check func(sdk.Context) error
	}{
		{"credits", func(ctx sdk.Context) error { return a.Keepers.Credits.CheckInvariants(ctx) }},
		{"marketplace", func(ctx sdk.Context) error { return a.Keepers.Marketplace.CheckInvariants(ctx) }},
		{"registry", func(ctx sdk.Context) error { return a.Keepers.Registry.CheckInvariants(ctx) }},
		{"mesh", func(ctx sdk.Context) error { return a.Keepers.Mesh.CheckInvariants(ctx) }},
		{"compute", func(ctx sdk.Context) error { return a.Keepers.Compute.CheckInvariants(ctx) }},
		{"ranking", func(ctx sdk.Context) error { return a.Keepers.Ranking.CheckInvariants(ctx) }},
	} {
		if err := m.check(ctx); err != nil {
			errs = append(errs, fmt.Errorf("x/%s: %w", m.name, err))
		}
	}
	return errors.Join(errs...)
}
