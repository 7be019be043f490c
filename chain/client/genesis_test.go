package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	cmtv1beta1 "github.com/hippius/compute/api/cosmos/base/tendermint/v1beta1"
	chainv1 "github.com/hippius/compute/api/node/chain/v1"
	"github.com/hippius/compute/api/tendermint/p2p"
	"github.com/hippius/compute/internal/wallet"
)

// ofGenesis is a node of a chain with the profile's id, which began from some genesis.
func ofGenesis(chain string, genesis byte) *voter {
	return lying(func(_ context.Context, method string, _ int64) (proto.Message, int64, error) {
		if method == chainv1.Chain_Genesis_FullMethodName {
			return &chainv1.GenesisResponse{ChainId: chain, GenesisHash: bytes.Repeat([]byte{genesis}, 32)}, 0, nil
		}
		if method != cmtv1beta1.Service_GetNodeInfo_FullMethodName {
			return nil, 0, errAway
		}
		return &cmtv1beta1.GetNodeInfoResponse{DefaultNodeInfo: &p2p.DefaultNodeInfo{Network: testChain}}, 0, nil
	})
}

// Nothing is signed for a chain of another genesis, though it has the same id, and login refuses it.
func TestGenesisOfTheProfile(t *testing.T) {
	t.Parallel()
	w, err := wallet.FromKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	right, wrong, other := ofGenesis(testChain, 1), ofGenesis(testChain, 2), ofGenesis("other-1", 1)
	for name, c := range map[string]struct {
		nodes []*voter
		fails error
	}{
		"the same":           {nodes: []*voter{right}},
		"another":            {nodes: []*voter{wrong}, fails: ErrOtherGenesis},
		"of another chain":   {nodes: []*voter{other}, fails: ErrOtherGenesis},
		"one of three lies":  {nodes: []*voter{wrong, right, right}},
		"two of three lie":   {nodes: []*voter{wrong, right, wrong}, fails: ErrOtherGenesis},
		"nobody says so":     {nodes: []*voter{lying(says(0, 0, errAway).lies)}, fails: ErrUnavailable},
		"without a majority": {nodes: []*voter{wrong, right}, fails: ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := voting(t, c.nodes...)
			cl.set.Network.GenesisHash = hex.EncodeToString(bytes.Repeat([]byte{1}, 32))
			require.ErrorIs(t, cl.Check(t.Context()), c.fails)
			_, err := cl.NewSender(w).Broadcast(t.Context())
			if c.fails != nil {
				require.ErrorIs(t, err, c.fails)
			} else {
				require.NotErrorIs(t, err, ErrOtherGenesis)
			}
		})
	}
}
