package app

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	cmttypes "github.com/cometbft/cometbft/types"

	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/hippius/compute/core/plan"
)

// Genesis describes a new network in plain types.
type Genesis struct {
	// ChainID is 1 to 50 characters.
	ChainID string
	// Time is the network's birth; the zero value is refused, as validators must agree on it.
	Time       time.Time
	Validators []GenesisValidator
	Accounts   []GenesisAccount
	// Plans, Images and Apps of the catalogue; nil plans or apps are the defaults.
	Plans   []plan.Plan
	Images  []plan.Image
	Apps    []plan.App
	Keepers []GenesisKeeper
	// Overrides are laid over the modules' genesis states: module name to a JSON
	// object whose members replace those of the same path, such as
	// {"marketplace": {"params": {"settle_lag_seconds": "0"}}}.
	Overrides map[string]json.RawMessage
}

// GenesisValidator is a validator from the first block on.
type GenesisValidator struct {
	Name string
	// Operator is the account (hip1…) that operates it and whose stake it has.
	Operator string
	// ConsensusKey signs blocks.
	ConsensusKey ed25519.PublicKey
	// StakeUhip bonded, in addition to what the account holds; at least 1 000 000.
	StakeUhip uint64
}

// GenesisAccount has coins, credits or both.
type GenesisAccount struct {
	Address string
	Uhip    uint64
	// Ucredit is backed by a deposit at the genesis price, from nowhere.
	Ucredit uint64
}

// GenesisKeeper is a member of the first keeper committee.
type GenesisKeeper struct {
	Operator string
	// Identity is the Ed25519 key of its transport, HPKEKey the X25519 key that shares are sealed to.
	Identity, HPKEKey []byte
	Endpoint, Name    string
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
	doc := genutiltypes.AppGenesis{
		AppName: Name, ChainID: g.ChainID, GenesisTime: g.Time.UTC(), InitialHeight: 1, AppState: bz,
		Consensus: &genutiltypes.ConsensusGenesis{Params: params},
	}
	if err := doc.ValidateAndComplete(); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	return json.MarshalIndent(doc, "", " ")
}
