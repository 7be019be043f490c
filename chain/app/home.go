package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cosmossdk.io/log/v2"
	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
)

// InitNode makes a node's home folder with its keys, and settings where there
// are none. Keys that are there stay.
func InitNode(home string) (NodeInfo, error) {
	for _, dir := range []string{home, filepath.Join(home, "keys"), filepath.Join(home, dataDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return NodeInfo{}, fmt.Errorf("make a node's home: %w", err)
		}
	}
	if err := writeSample(filepath.Join(home, settingsFile)); err != nil {
		return NodeInfo{}, err
	}
	k, err := loadKeys(home)
	if err != nil {
		return NodeInfo{}, err
	}
	return k.info()
}

// ReadNode is what others must know of a node whose home was made before.
func ReadNode(home string) (NodeInfo, error) {
	if _, err := os.Stat(filepath.Join(home, consensusKeyFile)); err != nil {
		return NodeInfo{}, fmt.Errorf("no node in %s; make one with 'hippiusd init': %w", home, err)
	}
	k, err := loadKeys(home)
	if err != nil {
		return NodeInfo{}, err
	}
	return k.info()
}

// WriteGenesis puts a genesis document into a node's home folder.
func WriteGenesis(home string, doc []byte) error {
	if err := os.WriteFile(filepath.Join(home, genesisFile), doc, 0o600); err != nil {
		return fmt.Errorf("write genesis: %w", err)
	}
	return nil
}

// CheckGenesis starts the state machine from a document, in memory, and returns the document's SHA-256 in hex.
func CheckGenesis(doc []byte) (_ string, err error) {
	g, err := genutiltypes.AppGenesisFromReader(bytes.NewReader(doc))
	if err != nil {
		return "", fmt.Errorf("genesis: %w", err)
	}
	if g.Consensus == nil || g.Consensus.Params == nil {
		return "", errors.New("genesis: no consensus parameters")
	}
	a, err := New(Options{Logger: log.NewNopLogger(), DB: dbm.NewMemDB(), ChainID: g.ChainID, BaseApp: briefly()})
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

// ExportState is the last state of a node that is not running, as a genesis document.
func ExportState(home string) (_ []byte, err error) {
	doc, err := genutiltypes.AppGenesisFromFile(filepath.Join(home, genesisFile))
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	db, err := dbm.NewGoLevelDB("application", filepath.Join(home, dataDir), nil)
	if err != nil {
		return nil, fmt.Errorf("open the state: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	a, err := New(Options{Logger: log.NewNopLogger(), DB: db, ChainID: doc.ChainID, Home: home, BaseApp: briefly()})
	if err != nil {
		return nil, err
	}
	if a.LastBlockHeight() == 0 {
		return nil, errors.New("the node has no state yet: it has never run")
	}
	state, height, err := a.Export()
	if err != nil {
		return nil, err
	}
	doc.AppState, doc.InitialHeight = state, height+1
	return json.MarshalIndent(doc, "", " ")
}
