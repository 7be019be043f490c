// Package registry knows who offers capacity for VMs, with what bond, and which validators
// keep secrets. See the README for its invariants.
package registry

import (
	"context"

	"cosmossdk.io/core/appmodule"
	sdkmodule "github.com/cosmos/cosmos-sdk/types/module"

	"github.com/hippius/compute/chain/x/internal/module"
	"github.com/hippius/compute/chain/x/registry/keeper"
	"github.com/hippius/compute/chain/x/registry/types"
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

// ConsensusVersion 2: the miners on each ring are counted.
func (Module) ConsensusVersion() uint64 { return 2 }

// RegisterServices makes messages and queries served, and the migration from version 1 known.
func (m Module) RegisterServices(c sdkmodule.Configurator) {
	if err := c.RegisterMigration(types.ModuleName, 1, m.k.Migrate1to2); err != nil {
		panic(err) // as the SDK has it: the program registers it twice
	}
	types.RegisterMsgServer(c.MsgServer(), keeper.NewMsgServer(m.k))
	types.RegisterQueryServer(c.QueryServer(), keeper.NewQueryServer(m.k))
}

// EndBlock returns bonds that are due and keeps the committee fresh.
func (m Module) EndBlock(ctx context.Context) error { return m.k.EndBlock(ctx) }
