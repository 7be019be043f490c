// Package app is the chain as an application: it wires the SDK's modules and
// ours, and decides who may have a transaction executed and who pays for it.
// The modules are in chain/x; chain/node runs it in consensus with others.
package app

import (
	"encoding/json"
	"fmt"
	"time"

	"cosmossdk.io/log/v2"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/store/v2/rootmulti"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/version"
)

// App is the chain's state machine.
type App struct {
	*baseapp.BaseApp

	// Keepers of all modules, for tests and for the node's own services.
	Keepers *Keepers

	codec     codec.Codec
	amino     *codec.LegacyAmino
	registry  codectypes.InterfaceRegistry
	txConfig  client.TxConfig
	keys      map[string]*storetypes.KVStoreKey
	transient map[string]*storetypes.TransientStoreKey
	modules   *module.Manager
	pool      *pool
	// checks of a transaction; checked is what came of them in the block that is executed.
	checks  sdk.AnteHandler
	checked []checked
	basics  module.BasicManager
	config  module.Configurator
}

// Options of an App.
type Options struct {
	Logger  log.Logger
	DB      dbm.DB
	ChainID string
	// Home is where the upgrade module looks for its instructions; empty for none.
	Home string
	// CheckInvariants checks the modules' invariants at the end of every block and fails the block if one is violated.
	CheckInvariants bool
	// Upgrades beside this version's own, for rehearsals.
	Upgrades []Upgrade
	// BaseApp are further settings, such as pruning.
	BaseApp []func(*baseapp.BaseApp)
}

// Briefly is for an App that is looked at and dropped: nothing closes one, and
// what prunes its stores beside would stay for ever.
func Briefly() []func(*baseapp.BaseApp) {
	return []func(*baseapp.BaseApp){baseapp.SetIAVLSyncPruning(true)}
}

// New wires the application and loads the latest state.
func New(o Options) (*App, error) {
	Configure()
	enc, err := newEncoding()
	if err != nil {
		return nil, err
	}
	base := baseapp.NewBaseApp(Name, o.Logger, o.DB, enc.txConfig.TxDecoder(), append([]func(*baseapp.BaseApp){baseapp.SetChainID(o.ChainID)}, o.BaseApp...)...)
	base.SetVersion(version.Version)
	base.SetInterfaceRegistry(enc.registry)
	base.SetTxEncoder(enc.txConfig.TxEncoder())

	a := &App{
		BaseApp: base, codec: enc.codec, amino: enc.amino, registry: enc.registry, txConfig: enc.txConfig,
		pool: newPool(),
		keys: storetypes.NewKVStoreKeys(storeNames()...), transient: storetypes.NewTransientStoreKeys(transientStoreNames()...),
	}
	if a.Keepers, err = newKeepers(a, o.Home); err != nil {
		return nil, err
	}
	a.wireModules()
	if err := a.modules.RegisterServices(configurator{a.config}); err != nil {
		return nil, fmt.Errorf("register services: %w", err)
	}
	base.MountKVStores(a.keys)
	base.MountTransientStores(a.transient)
	base.SetInitChainer(a.initChain)
	base.SetPreBlocker(a.preBlock)
	base.SetBeginBlocker(a.modules.BeginBlock)
	base.SetEndBlocker(func(ctx sdk.Context) (sdk.EndBlock, error) {
		end, err := a.modules.EndBlock(ctx)
		if err == nil && o.CheckInvariants {
			err = a.CheckInvariants(ctx)
		}
		return end, err
	})
	a.checks = a.anteHandler()
	base.SetAnteHandler(a.ante)
	a.wireProposals()
	if err := a.wireUpgrades(o.Home, append(upgrades(), o.Upgrades...)); err != nil {
		return nil, err
	}
	if err := base.LoadLatestVersion(); err != nil {
		return nil, fmt.Errorf("load the chain's state: %w", err)
	}
	return a, a.restoreVersion()
}

// preBlock makes an upgrade that is due, and then the checks of all of the block's transactions.
func (a *App) preBlock(ctx sdk.Context, req *abci.RequestFinalizeBlock) (*sdk.ResponsePreBlock, error) {
	res, err := a.modules.PreBlock(ctx)
	if err == nil {
		a.checked = a.checkBlock(ctx, req.Txs)
	}
	return res, err
}

// Info tells consensus how far the state is. After a snapshot was restored, the number of upgrades comes from that.
func (a *App) Info(req *abci.RequestInfo) (*abci.ResponseInfo, error) {
	if err := a.restoreVersion(); err != nil {
		return nil, err
	}
	return a.BaseApp.Info(req)
}

// initChain sets up the state from the genesis document.
func (a *App) initChain(ctx sdk.Context, req *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	var state map[string]json.RawMessage
	if err := json.Unmarshal(req.AppStateBytes, &state); err != nil {
		return nil, fmt.Errorf("genesis state: %w", err)
	}
	if err := a.Keepers.Upgrade.SetModuleVersionMap(ctx, a.modules.GetVersionMap()); err != nil {
		return nil, fmt.Errorf("module versions: %w", err)
	}
	return a.modules.InitGenesis(ctx, a.codec, state)
}

// Export is the state at the last height as a genesis state, and the height it is of.
func (a *App) Export() (state []byte, height int64, err error) {
	height = a.LastBlockHeight()
	state, err = a.ExportFrom(a.NewContextLegacy(true, cmtproto.Header{Height: height, ChainID: a.ChainID()}))
	return state, height, err
}

// ExportFrom is the state that a context sees as a genesis state.
func (a *App) ExportFrom(ctx sdk.Context) ([]byte, error) {
	all, err := a.modules.ExportGenesis(ctx, a.codec)
	if err != nil {
		return nil, fmt.Errorf("export state: %w", err)
	}
	return json.MarshalIndent(all, "", " ")
}

// ConsensusParams are those in force after the last block. They are no module's genesis but a part of the document.
func (a *App) ConsensusParams() (cmtproto.ConsensusParams, error) {
	p, err := a.Keepers.Consensus.ParamsStore.Get(a.NewContextLegacy(true, cmtproto.Header{Height: a.LastBlockHeight(), ChainID: a.ChainID()}))
	if err != nil {
		return p, fmt.Errorf("consensus parameters: %w", err)
	}
	return p, nil
}

// LastBlockTime is the time of the last block: a network that goes on from an export must not begin before.
func (a *App) LastBlockTime() (time.Time, error) {
	store, ok := a.CommitMultiStore().(*rootmulti.Store)
	if !ok {
		return time.Time{}, fmt.Errorf("time of the last block: the state is in a %T", a.CommitMultiStore())
	}
	info, err := store.GetCommitInfo(a.LastBlockHeight())
	if err != nil {
		return time.Time{}, fmt.Errorf("time of the last block: %w", err)
	}
	return info.Timestamp, nil
}

// TxConfig encodes, decodes and signs transactions.
func (a *App) TxConfig() client.TxConfig { return a.txConfig }

// InterfaceRegistry knows all messages.
func (a *App) InterfaceRegistry() codectypes.InterfaceRegistry { return a.registry }
