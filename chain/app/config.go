package app

import (
	"os"
	"sync"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

const (
	// Name of the program and the application.
	Name = "hippiusd"
	// Prefix of account addresses.
	Prefix = "hip"
	// Denom of the staking coin.
	Denom = "uhip"
)

// Configure sets what the SDK keeps per process: address prefixes and the
// staking coin. Every entry point of this package calls it first; it may be
// called any number of times.
func Configure() { configure() }

// The SDK looks addresses and denominations up in globals, which must be right before any is used.
var configure = sync.OnceFunc(func() {
	// Without a constant scope the SDK resolves the executable's path for every address it prints.
	if os.Getenv(sdk.EnvConfigScope) == "" {
		_ = os.Setenv(sdk.EnvConfigScope, Name) // cannot fail for this key and value
	}
	c := sdk.GetConfig()
	c.SetBech32PrefixForAccount(Prefix, Prefix+"pub")
	c.SetBech32PrefixForValidator(Prefix+"valoper", Prefix+"valoperpub")
	c.SetBech32PrefixForConsensusNode(Prefix+"valcons", Prefix+"valconspub")
	c.Seal()
	sdk.DefaultBondDenom = Denom
})
