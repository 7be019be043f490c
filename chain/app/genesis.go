package app

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	cmttypes "github.com/cometbft/cometbft/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/hippius/compute/core/plan"
)

// Genesis describes a new network in plain types. Keys and other bytes are base64 in JSON.
type Genesis struct {
	// ChainID is 1 to 50 characters.
	ChainID string `json:"chain_id"`
	// Time is the network's birth; the zero value is refused, as validators must agree on it.
	Time       time.Time          `json:"time"`
	Validators []GenesisValidator `json:"validators"`
	Accounts   []GenesisAccount   `json:"accounts"`
	// Plans, Images and Apps of the catalogue; nil plans or apps are the defaults.
	Plans   []plan.Plan     `json:"plans"`
	Images  []plan.Image    `json:"images"`
	Apps    []plan.App      `json:"apps"`
	Keepers []GenesisKeeper `json:"keepers"`
	// Overrides are laid over the modules' genesis states: module name to a JSON
	// object whose members replace those of the same path, such as
	// {"marketplace": {"params": {"settle_lag_seconds": "0"}}}.
	Overrides map[string]json.RawMessage `json:"overrides"`
}

// GenesisValidator is a validator from the first block on.
type GenesisValidator struct {
	Name string `json:"name"`
	// Operator is the account (hip1…) that operates it and whose stake it has.
	Operator string `json:"operator"`
	// ConsensusKey signs blocks.
	ConsensusKey ed25519.PublicKey `json:"consensus_key"`
	// StakeUhip bonded, in addition to what the account holds; at least 1 000 000.
	StakeUhip uint64 `json:"stake_uhip"`
}

// GenesisAccount has coins, credits or both.
type GenesisAccount struct {
	Address string `json:"address"`
	Uhip    uint64 `json:"uhip"`
	// Ucredit is backed by a deposit at the genesis price, from nowhere.
	Ucredit uint64 `json:"ucredit"`
}

// GenesisKeeper is a member of the first keeper committee.
type GenesisKeeper struct {
	Operator string `json:"operator"`
	// Identity is the Ed25519 key of its transport, HPKEKey the X25519 key that shares are sealed to.
	Identity []byte `json:"identity"`
	HPKEKey  []byte `json:"hpke_key"`
	Endpoint string `json:"endpoint"`
	Name     string `json:"name"`
}

// Block bounds of a new network.
const (
	maxBlockBytes = 4 << 20
	maxBlockGas   = 500_000_000
)

// Build makes the genesis document, as CometBFT and hippiusd read it.
func (g Genesis) Build() ([]byte, error) {
	Configure()
	if g.ChainID == "" || len(g.ChainID) > cmttypes.MaxChainIDLen {
		return nil, fmt.Errorf("chain id %q; it has 1 to %d characters", g.ChainID, cmttypes.MaxChainIDLen)
	}
	if g.Time.IsZero() {
		return nil, errors.New("a genesis needs its time, the same for all validators")
	}
	if len(g.Validators) == 0 {
		return nil, errors.New("a network needs at least one validator")
	}
	state, err := g.state()
	if err != nil {
		return nil, err
	}
	bz, err := json.Marshal(state)
	if err != nil {
		return nil, err
	}
	params := cmttypes.DefaultConsensusParams()
	params.Block.MaxBytes = maxBlockBytes
	params.Block.MaxGas = maxBlockGas
	// Evidence counts for as long as the stake behind it can be slashed.
	params.Evidence.MaxAgeDuration = stakingtypes.DefaultUnbondingTime
	params.Evidence.MaxAgeNumBlocks = int64(stakingtypes.DefaultUnbondingTime / time.Second)
	doc := genutiltypes.AppGenesis{
		AppName: Name, ChainID: g.ChainID, GenesisTime: g.Time.UTC(), InitialHeight: 1, AppState: bz,
		Consensus: &genutiltypes.ConsensusGenesis{Params: params},
	}
	if err := doc.ValidateAndComplete(); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	return json.MarshalIndent(doc, "", " ")
}
