package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"cosmossdk.io/log/v2"
	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
)

// CheckGenesis starts the state machine from a document, in memory, and returns the document's SHA-256 in hex.
func CheckGenesis(doc []byte) (_ string, err error) {
	g, err := genutiltypes.AppGenesisFromReader(bytes.NewReader(doc))
	if err != nil {
		return "", fmt.Errorf("genesis: %w", err)
	}
	if g.Consensus == nil || g.Consensus.Params == nil {
		return "", errors.New("genesis: no consensus parameters")
	}
	a, err := New(Options{Logger: log.NewNopLogger(), DB: dbm.NewMemDB(), ChainID: g.ChainID, BaseApp: Briefly()})
	if err != nil {
		return "", err
	}
	// The SDK's modules say what is wrong with a genesis by panicking.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("genesis: %v", r)
		}
	}()
	params := g.Consensus.Params.ToProto()
	_, err = a.InitChain(&abci.RequestInitChain{
		ChainId: g.ChainID, Time: g.GenesisTime, InitialHeight: g.InitialHeight, AppStateBytes: g.AppState, ConsensusParams: &params,
	})
	if err != nil {
		return "", fmt.Errorf("genesis: %w", err)
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:]), nil
}
