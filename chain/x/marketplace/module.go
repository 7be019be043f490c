// Package marketplace is the catalogue of what can be rented, and the meters
// that charge accounts for what was served. See the README for its invariants.
package marketplace

import (
	"context"

	"cosmossdk.io/core/appmodule"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkmodule "github.com/cosmos/cosmos-sdk/types/module"

	"github.com/hippius/compute/chain/x/internal/module"
	"github.com/hippius/compute/chain/x/marketplace/keeper"
	"github.com/hippius/compute/chain/x/marketplace/types"
)

var (
	_ sdkmodule.HasGenesis    = Module{}
	_ sdkmodule.HasServices   = Module{}
	_ appmodule.HasEndBlocker = Module{}
)

// Module fits the keeper into the app.
type Module struct {
	module.Base[types.GenesisState, *types.GenesisState]

	k *keeper.Keeper
}

// NewModule wraps a keeper.
func NewModule(k *keeper.Keeper) Module {
	return Module{module.New(types.ModuleName, types.RegisterInterfaces, types.DefaultGenesis, k), k}
}

// RegisterServices makes messages and queries served.
func (m Module) RegisterServices(c sdkmodule.Configurator) {
	types.RegisterMsgServer(c.MsgServer(), keeper.NewMsgServer(m.k))
	types.RegisterQueryServer(c.QueryServer(), keeper.NewQueryServer(m.k))
}

// EndBlock looks at the meters that are due.
func (m Module) EndBlock(ctx context.Context) error {
	return m.k.EndBlock(sdk.UnwrapSDKContext(ctx)) //nolint:contextcheck // a branch of the state is a new context
}
