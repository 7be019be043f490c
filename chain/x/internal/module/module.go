// Package module is the part of every module that is the same for all of ours:
// its name and messages, and its genesis state on its way between JSON and the keeper.
package module

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"
	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"
)

// Genesis is a pointer to a module's genesis state G.
type Genesis[G any] interface {
	*G
	proto.Message
	Validate() error
}

// Keeper loads and exports a module's state.
type Keeper[G any, P Genesis[G]] interface {
	InitGenesis(ctx context.Context, state G) error
	ExportGenesis(ctx context.Context) (P, error)
}

// Base is embedded by a module, which adds its services and what it does in a
// block. A module whose state has changed form has a ConsensusVersion of its own.
type Base[G any, P Genesis[G]] struct {
	name       string
	interfaces func(codectypes.InterfaceRegistry)
	defaults   func() P
	keeper     Keeper[G, P]
}

// New is the base of the module of a name: interfaces makes its messages known, defaults is the genesis of a new network.
func New[G any, P Genesis[G]](name string, interfaces func(codectypes.InterfaceRegistry), defaults func() P, keeper Keeper[G, P]) Base[G, P] {
	return Base[G, P]{name: name, interfaces: interfaces, defaults: defaults, keeper: keeper}
}

// IsAppModule marks the type.
func (Base[G, P]) IsAppModule() {}

// IsOnePerModuleType marks the type.
func (Base[G, P]) IsOnePerModuleType() {}

// Name of the module.
func (b Base[G, P]) Name() string { return b.name }

// ConsensusVersion rises when the module's state changes form.
func (Base[G, P]) ConsensusVersion() uint64 { return 1 }

// RegisterLegacyAminoCodec does nothing: transactions are signed in direct mode only.
func (Base[G, P]) RegisterLegacyAminoCodec(*codec.LegacyAmino) {}

// RegisterGRPCGatewayRoutes does nothing: the gateway serves the public API.
func (Base[G, P]) RegisterGRPCGatewayRoutes(client.Context, *gwruntime.ServeMux) {}

// RegisterInterfaces makes the messages known.
func (b Base[G, P]) RegisterInterfaces(r codectypes.InterfaceRegistry) { b.interfaces(r) }

// DefaultGenesis of a new network.
func (b Base[G, P]) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(b.defaults())
}

// ValidateGenesis checks a genesis by itself.
func (b Base[G, P]) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	g := P(new(G))
	if err := cdc.UnmarshalJSON(bz, g); err != nil {
		return fmt.Errorf("genesis of x/%s: %w", b.name, err)
	}
	return g.Validate()
}

// InitGenesis loads the state. It panics on a bad genesis, as the SDK has it: such a chain must not start.
func (b Base[G, P]) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	g := P(new(G))
	cdc.MustUnmarshalJSON(bz, g)
	if err := b.keeper.InitGenesis(ctx, *g); err != nil {
		panic(fmt.Errorf("genesis of x/%s: %w", b.name, err))
	}
}

// ExportGenesis is the state between two blocks.
func (b Base[G, P]) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	g, err := b.keeper.ExportGenesis(ctx)
	if err != nil {
		panic(fmt.Errorf("export x/%s: %w", b.name, err))
	}
	return cdc.MustMarshalJSON(g)
}
