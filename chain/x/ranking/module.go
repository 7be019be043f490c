// Package ranking keeps what miners earned, at quality 1 so far, and pays it
// out on request. See the README.
package ranking

import (
	sdkmodule "github.com/cosmos/cosmos-sdk/types/module"

	"github.com/hippius/compute/chain/x/internal/module"
	"github.com/hippius/compute/chain/x/ranking/keeper"
	"github.com/hippius/compute/chain/x/ranking/types"
)

var (
	_ sdkmodule.HasGenesis  = Module{}
	_ sdkmodule.HasServices = Module{}
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
