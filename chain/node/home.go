package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cosmossdk.io/log/v2"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/hippius/compute/chain/app"
)

// Init makes a node's home folder with its keys, and settings where there
// are none. Keys that are there stay.
func Init(home string) (Info, error) {
	for _, dir := range []string{home, filepath.Join(home, "keys"), filepath.Join(home, dataDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return Info{}, fmt.Errorf("make a node's home: %w", err)
		}
	}
	if err := writeSample(filepath.Join(home, settingsFile)); err != nil {
		return Info{}, err
	}
	k, err := loadKeys(home)
	if err != nil {
		return Info{}, err
	}
	return k.info()
}

// ReadInfo is what others must know of a node whose home was made before.
func ReadInfo(home string) (Info, error) {
	if _, err := os.Stat(filepath.Join(home, consensusKeyFile)); err != nil {
		return Info{}, fmt.Errorf("no node in %s; make one with 'hippiusd init': %w", home, err)
	}
	k, err := loadKeys(home)
	if err != nil {
		return Info{}, err
	}
	return k.info()
}

// ExportState is the last state of a node that is not running, as a genesis document: with the consensus parameters in
// force, and the height and time at which a network that starts from it goes on.
func ExportState(home string) (_ []byte, err error) {
	doc, err := genutiltypes.AppGenesisFromFile(filepath.Join(home, genesisFile))
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	db, err := openState(home)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	a, err := app.New(app.Options{Logger: log.NewNopLogger(), DB: db, ChainID: doc.ChainID, Home: home, BaseApp: app.Briefly()})
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
	params, err := a.ConsensusParams()
	if err != nil {
		return nil, err
	}
	inForce := cmttypes.ConsensusParamsFromProto(params)
	if doc.GenesisTime, err = a.LastBlockTime(); err != nil { // the first block has the time of the genesis
		return nil, err
	}
	doc.AppState, doc.InitialHeight = state, height+1
	// Validators are in the state; those that sign the first block are computed from it.
	doc.Consensus = &genutiltypes.ConsensusGenesis{Params: &inForce}
	if err := doc.ValidateAndComplete(); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	return json.MarshalIndent(doc, "", " ")
}

// openState opens the state machine's database in a node's home.
func openState(home string) (dbm.DB, error) {
	db, err := dbm.NewGoLevelDB("application", filepath.Join(home, dataDir), nil)
	if err != nil {
		return nil, fmt.Errorf("open the state: %w", err)
	}
	return db, nil
}
