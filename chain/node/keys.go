package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"

	"github.com/hippius/compute/internal/peer"
)

// Info is what others must know of a node.
type Info struct {
	// ConsensusKey signs blocks if the node is a validator.
	ConsensusKey ed25519.PublicKey
	// PeerID is the id in id@host:port.
	PeerID string
	// Identity is the key the node proves to programs that connect.
	Identity ed25519.PublicKey
}

// keySet are a node's three keys.
type keySet struct {
	consensus *privval.FilePV
	p2p       *p2p.NodeKey
	identity  ed25519.PrivateKey
}

// loadKeys reads a node's keys and makes those that are missing.
func loadKeys(home string) (keySet, error) {
	identity, err := peer.LoadOrCreateKey(filepath.Join(home, identityKeyFile))
	if err != nil {
		return keySet{}, err
	}
	node, err := p2p.LoadOrGenNodeKey(filepath.Join(home, p2pKeyFile))
	if err != nil {
		return keySet{}, fmt.Errorf("peer-to-peer key: %w", err)
	}
	consensus, err := loadConsensusKey(filepath.Join(home, consensusKeyFile), filepath.Join(home, signStateFile))
	if err != nil {
		return keySet{}, fmt.Errorf("consensus key: %w", err)
	}
	return keySet{consensus: consensus, p2p: node, identity: identity}, nil
}

// loadConsensusKey reads the key that signs blocks and what it signed last. It
// looks at both files first: CometBFT's loader ends the process on a bad one.
func loadConsensusKey(keyPath, statePath string) (*privval.FilePV, error) {
	haveKey, err := checkFile(keyPath, &privval.FilePVKey{})
	if err != nil {
		return nil, err
	}
	haveState, err := checkFile(statePath, &privval.FilePVLastSignState{})
	if err != nil {
		return nil, err
	}
	if haveKey != haveState {
		return nil, fmt.Errorf("of %s and %s only one is there: without what it signed last, a validator could sign twice and lose its stake", keyPath, statePath)
	}
	return privval.LoadOrGenFilePV(keyPath, statePath), nil
}

// checkFile tells whether a file is there, and its error if it does not decode.
func checkFile(path string, into any) (bool, error) {
	bz, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := cmtjson.Unmarshal(bz, into); err != nil {
		return false, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return true, nil
}

func (k keySet) info() (Info, error) {
	pub, err := k.consensus.GetPubKey()
	if err != nil {
		return Info{}, fmt.Errorf("consensus key: %w", err)
	}
	identity, _ := k.identity.Public().(ed25519.PublicKey)
	return Info{ConsensusKey: pub.Bytes(), PeerID: string(k.p2p.ID()), Identity: identity}, nil
}
