package apptest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/app"
)

// Account signs transactions.
type Account struct {
	Name    string
	Address string
	Key     *secp256k1.PrivKey
}

// Named is always the same account for the same name.
func Named(name string) Account {
	app.Configure()
	seed := sha256.Sum256([]byte("apptest/" + name))
	key := secp256k1.GenPrivKeyFromSecret(seed[:])
	return Account{Name: name, Address: sdk.AccAddress(key.PubKey().Address()).String(), Key: key}
}

// Acc is the account's address as the SDK has it.
func (a Account) Acc() sdk.AccAddress { return sdk.AccAddress(a.Key.PubKey().Address()) }

// Operator of the i-th validator.
func Operator(i int) Account { return Named(validatorName(i)) }

func validatorName(i int) string {
	if i == 0 {
		return "validator"
	}
	return fmt.Sprintf("validator%d", i)
}

func consensusKey(i int) ed25519.PublicKey {
	pub, _ := ConsensusKey(i).Public().(ed25519.PublicKey)
	return pub
}

// ConsensusKey is what the i-th validator of a Harness signs blocks with, for tests in which a node goes on with its chain.
func ConsensusKey(i int) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("apptest/consensus/" + validatorName(i)))
	return ed25519.NewKeyFromSeed(seed[:])
}

func consensusAddress(i int) []byte { return cmted25519.PubKey(consensusKey(i)).Address() }
