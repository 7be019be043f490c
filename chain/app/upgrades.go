package app

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
)

// Upgrade is one change of the chain's rules, made by all nodes at the height that governance decided on. The version
// before halts there; a version that knows the upgrade's name goes on.
type Upgrade struct {
	// Name in governance's decision, such as "v2".
	Name string
	// Stores that come into being, go or are renamed with it.
	Stores storetypes.StoreUpgrades
	// Migrate changes what modules' own migrations do not; nil for nothing. It runs before them.
	Migrate func(ctx sdk.Context, k *Keepers) error
}

// upgrades are all of this chain since its genesis, in order. None is ever taken away: a node looks here whether it is
// of the chain's version.
func upgrades() []Upgrade { return nil }

// wireUpgrades makes the upgrades known, and prepares the stores for the one that is due. It comes before the state is
// loaded.
func (a *App) wireUpgrades(home string, known []Upgrade) error {
	for _, u := range known {
		a.Keepers.Upgrade.SetUpgradeHandler(u.Name, func(ctx context.Context, _ upgradetypes.Plan, from module.VersionMap) (module.VersionMap, error) {
			if u.Migrate != nil {
				if err := u.Migrate(sdk.UnwrapSDKContext(ctx), a.Keepers); err != nil {
					return nil, fmt.Errorf("upgrade %s: %w", u.Name, err)
				}
			}
			if err := untax(ctx, a.Keepers); err != nil {
				return nil, fmt.Errorf("upgrade %s: %w", u.Name, err)
			}
			return a.modules.RunMigrations(ctx, a.config, from)
		})
	}
	if home == "" {
		return nil
	}
	due, err := a.Keepers.Upgrade.ReadUpgradeInfoFromDisk()
	if err != nil {
		return fmt.Errorf("what the version before left for the upgrade: %w", err)
	}
	if i := slices.IndexFunc(known, func(u Upgrade) bool { return u.Name == due.Name }); i >= 0 {
		a.SetStoreLoader(upgradetypes.UpgradeStoreLoader(due.Height, &known[i].Stores))
	}
	return nil
}

// restoreVersion tells the number of upgrades so far, which the framework keeps and does not read again.
func (a *App) restoreVersion() error {
	if a.LastBlockHeight() == 0 {
		return nil
	}
	ctx := a.NewUncachedContext(true, cmtproto.Header{Height: a.LastBlockHeight(), ChainID: a.ChainID()}) //nolint:staticcheck // the others look at a block in the making: here is none
	bz, err := a.store(upgradetypes.StoreKey).OpenKVStore(ctx).Get([]byte{upgradetypes.ProtocolVersionByte})
	if err != nil {
		return fmt.Errorf("version of the application: %w", err)
	}
	if len(bz) == 8 {
		a.SetProtocolVersion(binary.BigEndian.Uint64(bz))
	}
	return nil
}

// UpgradeNeededError says that this program is not of the version that the chain is at.
type UpgradeNeededError struct {
	// Name of the upgrade that decides, Height it is or was made at, and Info that came with the decision.
	Name   string
	Height int64
	Info   string
	// Early: this version is for after the upgrade, which is not due yet.
	Early bool
}

func (e *UpgradeNeededError) Error() string {
	if e.Early {
		return fmt.Sprintf("this version is for after upgrade %q at height %d: run the version before it until then", e.Name, e.Height)
	}
	text := fmt.Sprintf("the network makes upgrade %q at height %d, which this version does not know: install a version that does and start it", e.Name, e.Height)
	if e.Info != "" {
		text += " (" + e.Info + ")"
	}
	return text
}

// WrongVersion tells whether a block could not be executed because this is not the chain's version; nil if it is.
func (a *App) WrongVersion(height int64) error {
	// What the failed block wrote lies above the state that is looked at.
	ctx := a.NewUncachedContext(true, cmtproto.Header{Height: a.LastBlockHeight(), ChainID: a.ChainID()}) //nolint:staticcheck // the others look at a block in the making
	plan, err := a.Keepers.Upgrade.GetUpgradePlan(ctx)
	switch known := a.Keepers.Upgrade.HasHandler(plan.Name); {
	case err == nil && height >= plan.Height && !known:
		return &UpgradeNeededError{Name: plan.Name, Height: plan.Height, Info: plan.Info}
	case err == nil && height < plan.Height && known:
		return &UpgradeNeededError{Name: plan.Name, Height: plan.Height, Early: true}
	case err != nil && !errors.Is(err, upgradetypes.ErrNoUpgradePlanFound):
		return err
	}
	last, at, err := a.Keepers.Upgrade.GetLastCompletedUpgrade(ctx)
	if err == nil && last != "" && !a.Keepers.Upgrade.HasHandler(last) {
		return &UpgradeNeededError{Name: last, Height: at}
	}
	return err
}
