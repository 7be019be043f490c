package app

import (
	"cosmossdk.io/core/store"
	"github.com/cosmos/cosmos-sdk/codec/address"
	"github.com/cosmos/cosmos-sdk/runtime"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authkeeper "github.com/cosmos/cosmos-sdk/x/auth/keeper"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	consensuskeeper "github.com/cosmos/cosmos-sdk/x/consensus/keeper"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distrkeeper "github.com/cosmos/cosmos-sdk/x/distribution/keeper"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	evidencekeeper "github.com/cosmos/cosmos-sdk/x/evidence/keeper"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	slashingkeeper "github.com/cosmos/cosmos-sdk/x/slashing/keeper"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingkeeper "github.com/cosmos/cosmos-sdk/x/staking/keeper"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	upgradekeeper "github.com/cosmos/cosmos-sdk/x/upgrade/keeper"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditskeeper "github.com/hippius/compute/chain/x/credits/keeper"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	marketkeeper "github.com/hippius/compute/chain/x/marketplace/keeper"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshkeeper "github.com/hippius/compute/chain/x/mesh/keeper"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	rankingkeeper "github.com/hippius/compute/chain/x/ranking/keeper"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
	registrykeeper "github.com/hippius/compute/chain/x/registry/keeper"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
)

// Keepers of all modules, the SDK's first.
type Keepers struct {
	Auth         authkeeper.AccountKeeper
	Bank         bankkeeper.BaseKeeper
	Staking      *stakingkeeper.Keeper
	Slashing     slashingkeeper.Keeper
	Distribution distrkeeper.Keeper
	Gov          *govkeeper.Keeper
	Consensus    consensuskeeper.Keeper
	Upgrade      *upgradekeeper.Keeper
	Evidence     *evidencekeeper.Keeper

	Ranking     *rankingkeeper.Keeper
	Credits     *creditskeeper.Keeper
	Marketplace *marketkeeper.Keeper
	Registry    *registrykeeper.Keeper
	Mesh        *meshkeeper.Keeper
	Compute     *computekeeper.Keeper
}

// storeNames are all persistent stores.
func storeNames() []string {
	return []string{
		authtypes.StoreKey, banktypes.StoreKey, stakingtypes.StoreKey, slashingtypes.StoreKey, distrtypes.StoreKey,
		govtypes.StoreKey, consensustypes.StoreKey, upgradetypes.StoreKey, evidencetypes.StoreKey,
		rankingtypes.StoreKey, creditstypes.StoreKey, markettypes.StoreKey, registrytypes.StoreKey, meshtypes.StoreKey,
		computetypes.StoreKey,
	}
}

// transientStoreNames are the stores that are emptied with each block.
func transientStoreNames() []string { return []string{creditstypes.TransientStoreKey} }

// moduleAccounts are the accounts that modules hold coins in, and what they may do beyond that.
func moduleAccounts() map[string][]string {
	return map[string][]string{
		authtypes.FeeCollectorName:          nil,
		distrtypes.ModuleName:               nil,
		stakingtypes.BondedPoolName:         {authtypes.Burner, authtypes.Staking},
		stakingtypes.NotBondedPoolName:      {authtypes.Burner, authtypes.Staking},
		stakingtypes.KeyRotationFeePoolName: {authtypes.Burner},
		govtypes.ModuleName:                 {authtypes.Burner},
		creditstypes.ModuleName:             nil,
		creditstypes.TreasuryName:           nil,
		rankingtypes.ModuleName:             nil,
		registrytypes.ModuleName:            nil,
	}
}

// blockedAccounts are those nobody may send coins to: all module accounts but governance's.
func blockedAccounts() map[string]bool {
	blocked := map[string]bool{}
	for name := range moduleAccounts() {
		if name != govtypes.ModuleName {
			blocked[authtypes.NewModuleAddress(name).String()] = true
		}
	}
	return blocked
}

// authority is who may change parameters: governance.
func authority() string { return authtypes.NewModuleAddress(govtypes.ModuleName).String() }

// newKeepers wires the keepers; the modules that others need come first.
func newKeepers(a *App, home string) (*Keepers, error) {
	k := &Keepers{}
	cdc, gov := a.codec, authority()
	newBaseKeepers(k, a, home)
	var err error
	if k.Ranking, err = rankingkeeper.New(cdc, a.store(rankingtypes.StoreKey), k.Auth, k.Bank); err != nil {
		return nil, err
	}
	k.Credits, err = creditskeeper.New(creditskeeper.Config{
		Codec: cdc, Store: a.store(creditstypes.StoreKey),
		Transient: runtime.NewTransientStoreService(a.transient[creditstypes.TransientStoreKey]),
		Accounts:  k.Auth, Bank: k.Bank, Earnings: k.Ranking,
		StakersAccount: authtypes.FeeCollectorName, Authority: gov,
	})
	if err != nil {
		return nil, err
	}
	if k.Marketplace, err = marketkeeper.New(cdc, a.store(markettypes.StoreKey), k.Credits, gov); err != nil {
		return nil, err
	}
	k.Credits.SetHooks(k.Marketplace)
	k.Registry, err = registrykeeper.New(registrykeeper.Config{
		Codec: cdc, Store: a.store(registrytypes.StoreKey), Bank: k.Bank, Staking: k.Staking,
		Module: authtypes.NewModuleAddress(registrytypes.ModuleName), Authority: gov,
	})
	if err != nil {
		return nil, err
	}
	k.Mesh, err = meshkeeper.New(meshkeeper.Config{Codec: cdc, Store: a.store(meshtypes.StoreKey), Gate: k.Marketplace, Credits: k.Credits, Authority: gov})
	if err != nil {
		return nil, err
	}
	k.Staking.SetHooks(stakingtypes.NewMultiStakingHooks(k.Distribution.Hooks(), k.Slashing.Hooks(), k.Registry.Hooks()))
	k.Compute, err = computekeeper.New(computekeeper.Config{
		Codec: cdc, Store: a.store(computetypes.StoreKey), Marketplace: k.Marketplace, Registry: k.Registry, Mesh: k.Mesh, Authority: gov,
	})
	if err != nil {
		return nil, err
	}
	k.Marketplace.SetHooks(k.Compute)
	return k, nil
}

// newBaseKeepers wires the SDK's own.
func newBaseKeepers(k *Keepers, a *App, home string) {
	cdc, gov := a.codec, authority()
	config := sdk.GetConfig()
	accounts := address.NewBech32Codec(config.GetBech32AccountAddrPrefix())
	validators := address.NewBech32Codec(config.GetBech32ValidatorAddrPrefix())
	consensus := address.NewBech32Codec(config.GetBech32ConsensusAddrPrefix())

	k.Consensus = consensuskeeper.NewKeeper(cdc, a.store(consensustypes.StoreKey), gov, runtime.EventService{})
	a.SetParamStore(k.Consensus.ParamsStore)
	k.Auth = authkeeper.NewAccountKeeper(cdc, a.store(authtypes.StoreKey), authtypes.ProtoBaseAccount, moduleAccounts(), accounts, Prefix, gov)
	k.Bank = bankkeeper.NewBaseKeeper(cdc, a.store(banktypes.StoreKey), k.Auth, blockedAccounts(), gov, a.Logger())
	k.Staking = stakingkeeper.NewKeeper(cdc, a.store(stakingtypes.StoreKey), k.Auth, k.Bank, gov, validators, consensus)
	k.Distribution = distrkeeper.NewKeeper(cdc, a.store(distrtypes.StoreKey), k.Auth, k.Bank, k.Staking, authtypes.FeeCollectorName, gov)
	k.Slashing = slashingkeeper.NewKeeper(cdc, a.amino, a.store(slashingtypes.StoreKey), k.Staking, gov)
	k.Gov = govkeeper.NewKeeper(cdc, a.store(govtypes.StoreKey), k.Auth, k.Bank, k.Distribution, governedRouter{a.MsgServiceRouter()}, govtypes.DefaultConfig(), gov,
		govkeeper.NewDefaultCalculateVoteResultsAndVotingPower(k.Staking))
	k.Upgrade = upgradekeeper.NewKeeper(nil, a.store(upgradetypes.StoreKey), cdc, home, a.BaseApp, gov)
	k.Evidence = evidencekeeper.NewKeeper(cdc, a.store(evidencetypes.StoreKey), k.Staking, k.Slashing, accounts, runtime.ProvideCometInfoService())
}

// store opens a module's store service.
func (a *App) store(name string) store.KVStoreService {
	return runtime.NewKVStoreService(a.keys[name])
}
