package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	dbm "github.com/cometbft/cometbft-db"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	cmttypes "github.com/cometbft/cometbft/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/hippius/compute/internal/privatefile"
)

// ErrOtherGenesis says that a node's data is of a chain that began from another genesis document.
var ErrOtherGenesis = errors.New("the node's data is of a chain that began from another genesis document; " +
	"use a new home folder, or move the data folder away, for another chain")

// consensusState is the name of CometBFT's database of its state, and genesisKey where it keeps the document that it began from.
// It reads that one alone once it is there, whatever the file says.
const (
	consensusState = "state"
	genesisKey     = "genesisDoc"
)

// WriteGenesis puts a genesis document into a node's home folder. It returns ErrOtherGenesis if the node has data of a chain that began
// from another; the node must not run.
func WriteGenesis(home string, doc []byte) error {
	parsed, err := parseGenesis(doc)
	if err != nil {
		return err
	}
	if err := began(home, parsed); err != nil {
		return err
	}
	if err := privatefile.Replace(filepath.Join(home, genesisFile), doc); err != nil {
		return fmt.Errorf("write genesis: %w", err)
	}
	return nil
}

func parseGenesis(doc []byte) (*genutiltypes.AppGenesis, error) {
	g, err := genutiltypes.AppGenesisFromReader(bytes.NewReader(doc))
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	return g, nil
}

// began returns ErrOtherGenesis if a node's data, if it has any, is of a chain that began from another document.
func began(home string, g *genutiltypes.AppGenesis) (err error) {
	dir := filepath.Join(home, dataDir)
	if _, err := os.Stat(filepath.Join(dir, consensusState+".db")); errors.Is(err, os.ErrNotExist) {
		return nil // it never ran
	}
	db, err := dbm.NewGoLevelDB(consensusState, dir)
	if err != nil {
		return fmt.Errorf("open the consensus state; stop the node first: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	stored, err := db.Get([]byte(genesisKey))
	if err != nil || len(stored) == 0 { // it ended before it began
		return err
	}
	var was *cmttypes.GenesisDoc
	if err := cmtjson.Unmarshal(stored, &was); err != nil {
		return fmt.Errorf("genesis document in the consensus state: %w", err)
	}
	doc, err := g.ToGenesisDoc()
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	if err := doc.ValidateAndComplete(); err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	same, err := equal(was, doc)
	if err == nil && !same {
		err = fmt.Errorf("%w (the data is of %q, the document of %q)", ErrOtherGenesis, was.ChainID, doc.ChainID)
	}
	return err
}

// equal compares documents in the one form that they are kept in.
func equal(a, b *cmttypes.GenesisDoc) (bool, error) {
	one, err := cmtjson.Marshal(a)
	if err != nil {
		return false, fmt.Errorf("genesis: %w", err)
	}
	two, err := cmtjson.Marshal(b)
	if err != nil {
		return false, fmt.Errorf("genesis: %w", err)
	}
	return bytes.Equal(one, two), nil
}
