package app

import (
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/x/auth"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/bank"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/consensus"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distr "github.com/cosmos/cosmos-sdk/x/distribution"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	"github.com/cosmos/cosmos-sdk/x/evidence"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/genutil"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	"github.com/cosmos/cosmos-sdk/x/gov"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/cosmos-sdk/x/slashing"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	"github.com/cosmos/cosmos-sdk/x/staking"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/cosmos/cosmos-sdk/x/upgrade"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/hippius/compute/chain/x/compute"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/credits"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/chain/x/marketplace"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	"github.com/hippius/compute/chain/x/mesh"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/chain/x/ranking"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
	"github.com/hippius/compute/chain/x/registry"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
)

// wireModules sets the modules and the orders in which they act.
func (a *App) wireModules() {
	k := a.Keepers
	a.modules = module.NewManager(
		auth.NewAppModule(a.codec, k.Auth, nil),
		bank.NewAppModule(a.codec, k.Bank, k.Auth),
		staking.NewAppModule(a.codec, k.Staking, k.Auth, k.Bank),
		slashing.NewAppModule(a.codec, k.Slashing, k.Auth, k.Bank, k.Staking, a.registry),
		distr.NewAppModule(a.codec, k.Distribution, k.Auth, k.Bank, k.Staking),
		gov.NewAppModule(a.codec, k.Gov, k.Auth, k.Bank),
		consensus.NewAppModule(a.codec, k.Consensus),
		upgradeModule{AppModule: upgrade.NewAppModule(k.Upgrade, k.Auth.AddressCodec()), keeper: k.Upgrade, store: a.store(upgradetypes.StoreKey)},
		evidence.NewAppModule(*k.Evidence),
		genutil.NewAppModule(k.Auth, k.Staking, a, a.txConfig),
		ranking.NewModule(k.Ranking),
		credits.NewModule(k.Credits),
		marketplace.NewModule(k.Marketplace),
		registry.NewModule(k.Registry),
		mesh.NewModule(k.Mesh),
		compute.NewModule(k.Compute),
	)
	// The bank comes before all whose accounts must hold coins already.
	order := []string{
		authtypes.ModuleName, banktypes.ModuleName, distrtypes.ModuleName, stakingtypes.ModuleName, slashingtypes.ModuleName,
		govtypes.ModuleName, genutiltypes.ModuleName, evidencetypes.ModuleName, upgradetypes.ModuleName, consensustypes.ModuleName,
		rankingtypes.ModuleName, creditstypes.ModuleName, markettypes.ModuleName,
		registrytypes.ModuleName, meshtypes.ModuleName, computetypes.ModuleName,
	}
	a.modules.SetOrderInitGenesis(order...)
	a.modules.SetOrderExportGenesis(order...)
	a.modules.SetOrderMigrations(order...) // those that the others work with come first
	a.modules.SetOrderPreBlockers(upgradetypes.ModuleName, authtypes.ModuleName)
	// Distribution shares out what the last block brought; slashing looks at who signed it.
	a.modules.SetOrderBeginBlockers(distrtypes.ModuleName, slashingtypes.ModuleName, evidencetypes.ModuleName, stakingtypes.ModuleName, computetypes.ModuleName)
	// Credits last of ours: it sends on what all others consumed.
	a.modules.SetOrderEndBlockers(
		govtypes.ModuleName, stakingtypes.ModuleName,
		registrytypes.ModuleName, meshtypes.ModuleName, computetypes.ModuleName, markettypes.ModuleName, creditstypes.ModuleName,
		banktypes.ModuleName,
	)
	a.basics = module.NewBasicManagerFromManager(a.modules, map[string]module.AppModuleBasic{
		genutiltypes.ModuleName: genutil.NewAppModuleBasic(genutiltypes.DefaultMessageValidator),
	})
	a.basics.RegisterLegacyAminoCodec(a.amino)
	a.basics.RegisterInterfaces(a.registry)
	a.config = module.NewConfigurator(a.codec, a.MsgServiceRouter(), a.GRPCQueryRouter())
}
