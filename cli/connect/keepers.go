package connect

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/internal/peer"
)

// Keepers implements tenant.Keepers: it dials keepers at the endpoints and under the identities the chain gives, with a key
// made for it alone.
type Keepers struct{ key ed25519.PrivateKey }

// NewKeepers makes the short-lived key.
func NewKeepers() (*Keepers, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make transport key: %w", err)
	}
	return &Keepers{key: key}, nil
}

// Key is the public key the connections prove.
func (s *Keepers) Key() ed25519.PublicKey { return ed25519.PublicKey(s.key[ed25519.SeedSize:]) }

// Keeper prepares the connection to one keeper.
func (s *Keepers) Keeper(k node.Keeper) (keeperv1.KeeperClient, func(), error) {
	if len(k.Identity) != ed25519.PublicKeySize {
		return nil, nil, errors.New("its identity on chain is no Ed25519 key")
	}
	conn, err := peer.NewClient(k.Endpoint, s.key, k.Identity)
	if err != nil {
		return nil, nil, err
	}
	return keeperv1.NewKeeperClient(conn), func() { _ = conn.Close() }, nil
}
