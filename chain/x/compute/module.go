// Package compute rents VMs: it keeps what tenants want, chooses miners
// and takes their reports. See the README for its invariants.
package compute

import (
	"context"

	"cosmossdk.io/core/appmodule"
	sdkmodule "github.com/cosmos/cosmos-sdk/types/module"

	"github.com/hippius/compute/chain/x/compute/keeper"
	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/module"
)

var (
	_ sdkmodule.HasGenesis      = Module{}
	_ sdkmodule.HasServices     = Module{}
	_ appmodule.HasEndBlocker   = Module{}
	_ appmodule.HasBeginBlocker = Module{}
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

// ConsensusVersion 2: what is looked at for placement in a block is bounded.
func (Module) ConsensusVersion() uint64 { return 2 }

// RegisterServices makes messages and queries served, and the migration from version 1 known.
func (m Module) RegisterServices(c sdkmodule.Configurator) {
	if err := c.RegisterMigration(types.ModuleName, 1, m.k.Migrate1to2); err != nil {
		panic(err) // as the SDK has it: the program registers it twice
	}
	types.RegisterMsgServer(c.MsgServer(), keeper.NewMsgServer(m.k))
	types.RegisterQueryServer(c.QueryServer(), keeper.NewQueryServer(m.k))
}

// BeginBlock notes the block, so that guests may prove that they know it.
func (m Module) BeginBlock(ctx context.Context) error { return m.k.BeginBlock(ctx) }

// EndBlock acts on missed deadlines and places what waits.
func (m Module) EndBlock(ctx context.Context) error { return m.k.EndBlock(ctx) }
