// Package marketplace is the catalogue of what can be rented, and the meters
// that charge accounts for what was served. See the README for its laws.
package marketplace

import (
	"context"
	"encoding/json"
	"fmt"

	"cosmossdk.io/core/appmodule"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"

	"github.com/hippius/compute/chain/x/marketplace/keeper"
	"github.com/hippius/compute/chain/x/marketplace/types"
)

var (
	_ appmodule.AppModule     = Module{}
	_ module.AppModuleBasic   = Module{}
	_ module.HasGenesis       = Module{}
	_ module.HasServices      = Module{}
	_ appmodule.HasEndBlocker = Module{}
)

// Module fits the keeper into the app.
type Module struct{ k *keeper.Keeper }

// NewModule wraps a keeper.
func NewModule(k *keeper.Keeper) Module { return Module{k} }

// IsAppModule marks the type.
func (Module) IsAppModule() {}

// IsOnePerModuleType marks the type.
func (Module) IsOnePerModuleType() {}

// Name of the module.
func (Module) Name() string { return types.ModuleName }

// ConsensusVersion rises when the module's state changes form.
func (Module) ConsensusVersion() uint64 { return 1 }

// RegisterLegacyAminoCodec does nothing: transactions are signed in direct mode only.
func (Module) RegisterLegacyAminoCodec(*codec.LegacyAmino) {}

// RegisterGRPCGatewayRoutes does nothing: the gateway serves the public API.
func (Module) RegisterGRPCGatewayRoutes(client.Context, *gwruntime.ServeMux) {}

// RegisterInterfaces makes the messages known.
func (Module) RegisterInterfaces(r codectypes.InterfaceRegistry) { types.RegisterInterfaces(r) }

// RegisterServices makes messages and queries served.
func (m Module) RegisterServices(c module.Configurator) {
	types.RegisterMsgServer(c.MsgServer(), keeper.NewMsgServer(m.k))
	types.RegisterQueryServer(c.QueryServer(), keeper.NewQueryServer(m.k))
}

// EndBlock looks at the meters that are due.
func (m Module) EndBlock(ctx context.Context) error {
	return m.k.EndBlock(sdk.UnwrapSDKContext(ctx)) //nolint:contextcheck // a branch of the state is a new context
}

// DefaultGenesis of a new network.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(types.DefaultGenesis())
}

// ValidateGenesis checks a genesis by itself.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g types.GenesisState
	if err := cdc.UnmarshalJSON(bz, &g); err != nil {
		return fmt.Errorf("genesis of x/%s: %w", types.ModuleName, err)
	}
	return g.Validate()
}

// InitGenesis loads the state. It panics on a bad genesis, as the SDK has it: such a chain must not start.
func (m Module) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var g types.GenesisState
	cdc.MustUnmarshalJSON(bz, &g)
	if err := m.k.InitGenesis(ctx, g); err != nil {
		panic(fmt.Errorf("genesis of x/%s: %w", types.ModuleName, err))
	}
}

// ExportGenesis is the state between two blocks.
func (m Module) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	g, err := m.k.ExportGenesis(ctx)
	if err != nil {
		panic(fmt.Errorf("export x/%s: %w", types.ModuleName, err))
	}
	return cdc.MustMarshalJSON(g)
}
