package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	chainv1 "github.com/hippius/compute/api/node/chain/v1"
)

// ErrOtherGenesis says that the nodes are of a chain that began otherwise than the profile's, though it may have the same id: what is signed
// for one is good for the other.
var ErrOtherGenesis = errors.New("the chain nodes are of a chain that began from another genesis than the profile's; get the network's present profile")

// sameGenesis compares the profile's genesis hash, if it has one, with what the nodes say. It asks until they agreed with it once.
func (c *Client) sameGenesis(ctx context.Context) error {
	if c.set.Network.GenesisHash == "" || c.genesisSeen.Load() {
		return nil
	}
	r, err := c.about.Genesis(ctx, &chainv1.GenesisRequest{})
	if err != nil {
		return queryError("genesis of chain "+c.ChainID(), err)
	}
	want, err := hex.DecodeString(c.set.Network.GenesisHash)
	if err != nil {
		return fmt.Errorf("genesis hash of the profile: %w", err)
	}
	if r.GetChainId() != c.ChainID() || !bytes.Equal(r.GetGenesisHash(), want) {
		return fmt.Errorf("%w (chain %.60q, genesis %.32x, not %.32x)", ErrOtherGenesis, r.GetChainId(), r.GetGenesisHash(), want)
	}
	c.genesisSeen.Store(true)
	return nil
}
