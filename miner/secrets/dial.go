package secrets

import (
	"crypto/ed25519"
	"errors"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/internal/peer"
)

// Peers dials keepers at the endpoints and under the identities the chain gives.
type Peers struct{ key ed25519.PrivateKey }

// NewPeers dials as the miner with this identity key.
func NewPeers(identity ed25519.PrivateKey) *Peers { return &Peers{key: identity} }

// Keeper prepares the connection to one keeper.
func (p *Peers) Keeper(k node.Keeper) (keeperv1.KeeperClient, func(), error) {
	if len(k.Identity) != ed25519.PublicKeySize {
		return nil, nil, errors.New("its identity on chain is no Ed25519 key")
	}
	conn, err := peer.NewClient(k.Endpoint, p.key, k.Identity)
	if err != nil {
		return nil, nil, err
	}
	return keeperv1.NewKeeperClient(conn), func() { _ = conn.Close() }, nil
}
