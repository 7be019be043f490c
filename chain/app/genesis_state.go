package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"cosmossdk.io/log/v2"
	sdkmath "cosmossdk.io/math"
	dbm "github.com/cosmos/cosmos-db"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/cosmos/gogoproto/proto"

	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/credit"
)

// state is the genesis state of every module.
func (g Genesis) state() (map[string]json.RawMessage, error) {
	enc, basics, err := blueprint()
	if err != nil {
		return nil, err
	}
	state := basics.DefaultGenesis(enc.codec)
	b := genesisBuilder{Genesis: g, enc: enc, state: state}
	if err := b.rules(); err != nil {
		return nil, err
	}
	// Overrides come before the rest, which depends on some of them, as on the price of a credit.
	for name, over := range g.Overrides {
		if state[name] == nil {
			return nil, fmt.Errorf("override of module %q, which is not there", name)
		}
		if state[name], err = overlay(state[name], over); err != nil {
			return nil, fmt.Errorf("override of module %q: %w", name, err)
		}
	}
	for _, step := range []func() error{b.catalogue, b.committee, b.credits, b.staking, b.accounts} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if err := basics.ValidateGenesis(enc.codec, enc.txConfig, state); err != nil {
		return nil, fmt.Errorf("genesis state: %w", err)
	}
	return state, nil
}

type genesisBuilder struct {
	Genesis
	enc   encoding
	state map[string]json.RawMessage
	// balances of bank, in the order they were given.
	balances []banktypes.Balance
}

// hold gives an address coins.
func (b *genesisBuilder) hold(address string, uhip uint64) {
	if uhip == 0 {
		return
	}
	amount := sdk.NewCoin(Denom, sdkmath.NewIntFromUint64(uhip))
	for i := range b.balances {
		if b.balances[i].Address == address {
			b.balances[i].Coins = b.balances[i].Coins.Add(amount)
			return
		}
	}
	b.balances = append(b.balances, banktypes.Balance{Address: address, Coins: sdk.NewCoins(amount)})
}

// rules sets what this network wants of the SDK's modules other than their defaults.
func (b *genesisBuilder) rules() error {
	err := edit(b, stakingtypes.ModuleName, &stakingtypes.GenesisState{}, func(gs *stakingtypes.GenesisState) error {
		gs.Params.BondDenom = Denom
		gs.Params.HistoricalEntries = 0 // a record a block that only other chains would read
		return nil
	})
	if err != nil {
		return err
	}
	err = edit(b, distrtypes.ModuleName, &distrtypes.GenesisState{}, func(gs *distrtypes.GenesisState) error {
		gs.Params.CommunityTax = sdkmath.LegacyZeroDec() // see untaxed
		return nil
	})
	if err != nil {
		return err
	}
	return edit(b, slashingtypes.ModuleName, &slashingtypes.GenesisState{}, func(gs *slashingtypes.GenesisState) error {
		// Hours at a second a block: a restart is no reason to be jailed.
		gs.Params.SignedBlocksWindow = 10_000
		gs.Params.MinSignedPerWindow = sdkmath.LegacyNewDecWithPrec(5, 1)
		return nil
	})
}

// catalogue fills the marketplace; what is nil stays at its default.
func (b *genesisBuilder) catalogue() error {
	return edit(b, markettypes.ModuleName, &markettypes.GenesisState{}, func(gs *markettypes.GenesisState) error {
		if b.Plans != nil {
			gs.Plans = nil
		}
		if b.Apps != nil {
			gs.Apps = nil
		}
		for _, p := range b.Plans {
			gs.Plans = append(gs.Plans, markettypes.PlanOf(p))
		}
		for _, i := range b.Images {
			gs.Images = append(gs.Images, markettypes.ImageOf(i))
		}
		for _, a := range b.Apps {
			gs.Apps = append(gs.Apps, markettypes.AppOf(a))
		}
		return nil
	})
}

// committee registers the first keepers.
func (b *genesisBuilder) committee() error {
	return edit(b, registrytypes.ModuleName, &registrytypes.GenesisState{}, func(gs *registrytypes.GenesisState) error {
		for _, k := range b.Keepers {
			gs.Keepers = append(gs.Keepers, registrytypes.Keeper{
				Operator: k.Operator, Identity: k.Identity, HpkeKey: k.HPKEKey, Endpoint: k.Endpoint, Name: k.Name,
			})
		}
		return nil
	})
}

func (b *genesisBuilder) credits() error {
	return edit(b, creditstypes.ModuleName, &creditstypes.GenesisState{}, func(gs *creditstypes.GenesisState) error {
		books := gs.Totals.Books()
		for _, a := range b.Accounts {
			if a.Ucredit == 0 {
				continue
			}
			uhip, err := credit.Cost(a.Ucredit, gs.Params.UhipPerCredit)
			if err != nil {
				return fmt.Errorf("credits of %s: %w", a.Address, err)
			}
			var balance credit.Balance
			if err := books.Buy(&balance, uhip, a.Ucredit); err != nil {
				return fmt.Errorf("credits of %s: %w", a.Address, err)
			}
			gs.Balances = append(gs.Balances, creditstypes.BalanceOf(a.Address, balance))
		}
		gs.Totals = creditstypes.TotalsOf(books)
		b.hold(authtypes.NewModuleAddress(creditstypes.ModuleName).String(), books.Reserve)
		return nil
	})
}

func (b *genesisBuilder) staking() error {
	return edit(b, stakingtypes.ModuleName, &stakingtypes.GenesisState{}, func(gs *stakingtypes.GenesisState) error {
		for _, v := range b.Validators {
			operator, err := sdk.AccAddressFromBech32(v.Operator)
			if err != nil {
				return fmt.Errorf("operator of validator %q: %w", v.Name, err)
			}
			if len(v.ConsensusKey) != ed25519.PubKeySize {
				return fmt.Errorf("consensus key of validator %q has %d bytes; it needs %d", v.Name, len(v.ConsensusKey), ed25519.PubKeySize)
			}
			if v.StakeUhip < sdk.DefaultPowerReduction.Uint64() {
				return fmt.Errorf("validator %q stakes %d uhip; at least %s", v.Name, v.StakeUhip, sdk.DefaultPowerReduction)
			}
			key, err := codectypes.NewAnyWithValue(&ed25519.PubKey{Key: bytes.Clone(v.ConsensusKey)})
			if err != nil {
				return err
			}
			tokens := sdkmath.NewIntFromUint64(v.StakeUhip)
			// Unbonded: the first block's validator set is made from it and bonds it, with all hooks.
			gs.Validators = append(gs.Validators, stakingtypes.Validator{
				OperatorAddress: sdk.ValAddress(operator).String(), ConsensusPubkey: key, Status: stakingtypes.Unbonded,
				Tokens: tokens, DelegatorShares: sdkmath.LegacyNewDecFromInt(tokens), UnbondingTime: time.Unix(0, 0).UTC(),
				Description:       stakingtypes.Description{Moniker: v.Name},
				Commission:        stakingtypes.NewCommission(sdkmath.LegacyNewDecWithPrec(5, 2), sdkmath.LegacyNewDecWithPrec(20, 2), sdkmath.LegacyNewDecWithPrec(1, 2)),
				MinSelfDelegation: sdkmath.OneInt(),
			})
			gs.Delegations = append(gs.Delegations, stakingtypes.NewDelegation(v.Operator, sdk.ValAddress(operator).String(), sdkmath.LegacyNewDecFromInt(tokens)))
			b.hold(authtypes.NewModuleAddress(stakingtypes.NotBondedPoolName).String(), v.StakeUhip)
		}
		return nil
	})
}

// accounts gives everyone named an account and the bank what they hold.
func (b *genesisBuilder) accounts() error {
	var addresses []string
	for _, a := range b.Accounts {
		addresses = append(addresses, a.Address)
		b.hold(a.Address, a.Uhip)
	}
	for _, v := range b.Validators {
		addresses = append(addresses, v.Operator)
	}
	slices.Sort(addresses)
	addresses = slices.Compact(addresses)
	err := edit(b, authtypes.ModuleName, &authtypes.GenesisState{}, func(gs *authtypes.GenesisState) error {
		accounts := make(authtypes.GenesisAccounts, 0, len(addresses))
		for _, s := range addresses {
			addr, err := sdk.AccAddressFromBech32(s)
			if err != nil {
				return fmt.Errorf("account %q: %w", s, err)
			}
			accounts = append(accounts, authtypes.NewBaseAccountWithAddress(addr))
		}
		*gs = *authtypes.NewGenesisState(gs.Params, accounts)
		return nil
	})
	if err != nil {
		return err
	}
	return edit(b, banktypes.ModuleName, &banktypes.GenesisState{}, func(gs *banktypes.GenesisState) error {
		gs.Balances = append(gs.Balances, b.balances...)
		for _, x := range gs.Balances {
			gs.Supply = gs.Supply.Add(x.Coins...)
		}
		gs.DenomMetadata = append(gs.DenomMetadata, banktypes.Metadata{
			Base: Denom, Display: "hip", Name: "HIP", Symbol: "HIP", Description: "The staking coin of the network",
			DenomUnits: []*banktypes.DenomUnit{{Denom: Denom}, {Denom: "hip", Exponent: 6}},
		})
		return nil
	})
}

// edit decodes a module's genesis state, changes it and puts it back.
func edit[G proto.Message](b *genesisBuilder, name string, gs G, change func(G) error) error {
	if err := b.enc.codec.UnmarshalJSON(b.state[name], gs); err != nil {
		return fmt.Errorf("genesis of x/%s: %w", name, err)
	}
	if err := change(gs); err != nil {
		return fmt.Errorf("genesis of x/%s: %w", name, err)
	}
	bz, err := b.enc.codec.MarshalJSON(gs)
	if err != nil {
		return fmt.Errorf("genesis of x/%s: %w", name, err)
	}
	b.state[name] = bz
	return nil
}

// blueprint is the encoding with all modules' types known, and the modules' stateless parts.
func blueprint() (encoding, module.BasicManager, error) {
	a, err := New(Options{Logger: log.NewNopLogger(), DB: dbm.NewMemDB(), BaseApp: Briefly()})
	if err != nil {
		return encoding{}, nil, err
	}
	return encoding{registry: a.registry, codec: a.codec, amino: a.amino, txConfig: a.txConfig}, a.basics, nil
}

// overlay lays one JSON object over another, object by object; anything else is replaced.
func overlay(under, over json.RawMessage) (json.RawMessage, error) {
	var o map[string]json.RawMessage
	if err := json.Unmarshal(over, &o); err != nil || o == nil {
		return over, checkJSON(over)
	}
	var u map[string]json.RawMessage
	if err := json.Unmarshal(under, &u); err != nil {
		return over, nil //nolint:nilerr // what is no object is replaced
	}
	for name, v := range o {
		old, ok := u[name]
		if !ok {
			return nil, fmt.Errorf("%q is not there", name)
		}
		merged, err := overlay(old, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		u[name] = merged
	}
	return json.Marshal(u)
}

func checkJSON(bz json.RawMessage) error {
	if !json.Valid(bz) {
		return errors.New("not JSON")
	}
	return nil
}
