package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	chainv1 "github.com/hippius/compute/api/node/chain/v1"
	"github.com/hippius/compute/internal/privatefile"
)

// genesisHashFile keeps, beside the data, the hash of the genesis file with which it began. CometBFT keeps the document in
// a form of its own, from which the file's bytes cannot be had again.
const genesisHashFile = "genesis.sha256"

// genesisHash of the file with which the node's data began. The first start records it; the file that lies there later
// may be the same document in other bytes.
func genesisHash(home string) ([]byte, error) {
	path := filepath.Join(home, dataDir, genesisHashFile)
	text, err := os.ReadFile(path)
	if err == nil {
		hash, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(hash) != sha256.Size {
			return nil, fmt.Errorf("%s is damaged: it holds the SHA-256 of the genesis file in hex", path)
		}
		return hash, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("genesis hash: %w", err)
	}
	doc, err := os.ReadFile(filepath.Join(home, genesisFile))
	if err != nil {
		return nil, fmt.Errorf("genesis hash: %w", err)
	}
	hash := sha256.Sum256(doc)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("genesis hash: %w", err)
	}
	if err := privatefile.Replace(path, []byte(hex.EncodeToString(hash[:])+"\n")); err != nil {
		return nil, fmt.Errorf("genesis hash: %w", err)
	}
	return hash[:], nil
}

// about tells of the node's chain.
type about struct {
	chainv1.UnimplementedChainServer

	chainID string
	genesis []byte
}

// Genesis implements the service.
func (a about) Genesis(context.Context, *chainv1.GenesisRequest) (*chainv1.GenesisResponse, error) {
	return &chainv1.GenesisResponse{ChainId: a.chainID, GenesisHash: a.genesis}, nil
}
