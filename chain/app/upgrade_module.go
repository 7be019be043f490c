package app

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"cosmossdk.io/core/store"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/upgrade"
	upgradekeeper "github.com/cosmos/cosmos-sdk/x/upgrade/keeper"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
)

// upgradeModule is x/upgrade with a genesis state. The framework's has none: a chain that goes on from an export would forget the
// upgrade that was decided on, and those that were made.
type upgradeModule struct {
	upgrade.AppModule
	keeper *upgradekeeper.Keeper
	store  store.KVStoreService
}

// upgradesState is the genesis state of x/upgrade.
type upgradesState struct {
	// Plan that was decided on; nil for none.
	Plan *upgradeAt `json:"plan,omitempty"`
	// Done are the upgrades that were made, in the order of their heights.
	Done []upgradeAt `json:"done,omitempty"`
	// Version of the application: how many upgrades were made.
	Version uint64 `json:"version,omitempty"`
}

type upgradeAt struct {
	Name   string `json:"name"`
	Height int64  `json:"height"`
	Info   string `json:"info,omitempty"`
}

func (u upgradeAt) plan() upgradetypes.Plan {
	return upgradetypes.Plan{Name: u.Name, Height: u.Height, Info: u.Info}
}

func (s upgradesState) validate() error {
	for i, u := range s.Done {
		if err := u.plan().ValidateBasic(); err != nil {
			return fmt.Errorf("upgrade %q that was made: %w", u.Name, err)
		}
		if i > 0 && u.Height <= s.Done[i-1].Height {
			return fmt.Errorf("upgrade %q was made at height %d; those that were made are in the order of their heights, one at each", u.Name, u.Height)
		}
		if s.Plan != nil && s.Plan.Name == u.Name {
			return fmt.Errorf("upgrade %q is planned and was made at height %d; it is one or the other", u.Name, u.Height)
		}
	}
	if s.Plan == nil {
		return nil
	}
	if err := s.Plan.plan().ValidateBasic(); err != nil {
		return fmt.Errorf("upgrade %q that is planned: %w", s.Plan.Name, err)
	}
	return nil
}

func parseUpgrades(bz json.RawMessage) (upgradesState, error) {
	var s upgradesState
	if err := json.Unmarshal(bz, &s); err != nil {
		return s, fmt.Errorf("genesis of x/upgrade: %w", err)
	}
	return s, s.validate()
}

// ValidateGenesis checks a genesis by itself.
func (upgradeModule) ValidateGenesis(_ codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	_, err := parseUpgrades(bz)
	return err
}

// InitGenesis loads the state. It panics on a bad genesis, as the SDK has it: such a chain must not start.
func (m upgradeModule) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	m.AppModule.InitGenesis(ctx, cdc, bz)
	s, err := parseUpgrades(bz)
	if err == nil {
		err = m.load(ctx, s)
	}
	if err != nil {
		panic(err)
	}
}

func (m upgradeModule) load(ctx sdk.Context, s upgradesState) error {
	kv := m.store.OpenKVStore(ctx)
	for _, u := range s.Done {
		if err := kv.Set(doneKey(u), []byte{1}); err != nil {
			return err
		}
	}
	if s.Version > 0 {
		if err := kv.Set([]byte{upgradetypes.ProtocolVersionByte}, binary.BigEndian.AppendUint64(nil, s.Version)); err != nil {
			return err
		}
		m.keeper.GetVersionSetter().SetProtocolVersion(s.Version)
	}
	if s.Plan == nil {
		return nil
	}
	return m.keeper.ScheduleUpgrade(ctx, s.Plan.plan())
}

// ExportGenesis is the state between two blocks.
func (m upgradeModule) ExportGenesis(ctx sdk.Context, _ codec.JSONCodec) json.RawMessage {
	s, err := m.state(ctx)
	if err != nil {
		panic(fmt.Errorf("export of x/upgrade: %w", err))
	}
	bz, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Errorf("export of x/upgrade: %w", err))
	}
	return bz
}

func (m upgradeModule) state(ctx sdk.Context) (s upgradesState, err error) {
	switch p, err := m.keeper.GetUpgradePlan(ctx); {
	case err == nil:
		s.Plan = &upgradeAt{Name: p.Name, Height: p.Height, Info: p.Info}
	case !errors.Is(err, upgradetypes.ErrNoUpgradePlanFound):
		return s, err
	}
	kv := m.store.OpenKVStore(ctx)
	version, err := kv.Get([]byte{upgradetypes.ProtocolVersionByte})
	if err != nil {
		return s, err
	}
	if len(version) == 8 {
		s.Version = binary.BigEndian.Uint64(version)
	}
	prefix := []byte{upgradetypes.DoneByte}
	it, err := kv.Iterator(prefix, storetypes.PrefixEndBytes(prefix))
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ; it.Valid(); it.Next() {
		key := it.Key()
		if len(key) <= doneName {
			return s, fmt.Errorf("key %x of an upgrade that was made has no name", key)
		}
		s.Done = append(s.Done, upgradeAt{Name: string(key[doneName:]), Height: int64(binary.BigEndian.Uint64(key[1:doneName]))})
	}
	return s, nil
}

// doneName is where the name begins in the key of an upgrade that was made, after the prefix and the height.
const doneName = 9

// doneKey is where x/upgrade keeps that an upgrade was made.
func doneKey(u upgradeAt) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{upgradetypes.DoneByte}, uint64(u.Height)), u.Name...)
}
