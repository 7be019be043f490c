package tenant

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/api/node/grants"
	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
)

const (
	// grantLife is long enough for a few attempts and a clock that is some minutes off.
	grantLife = 15 * time.Minute
	// keeperTimeout bounds one attempt with one keeper.
	keeperTimeout  = 15 * time.Second
	keeperAttempts = 3
	// maxRefusal bounds what is shown of a keeper's words, in bytes.
	maxRefusal = 300
)

// receipts of one keeper: its signatures in the order of the instances, or why there are none.
type receipts struct {
	signatures [][]byte
	err        *KeeperError
}

// handOut gives all keepers their parts at once.
func (c *Client) handOut(ctx context.Context, id vm.ID, committee node.Committee, parts []*keeperv1.DealRequest, want []vm.Instance) []receipts {
	out := make([]receipts, len(parts))
	var wg sync.WaitGroup
	for i, k := range committee.Keepers {
		wg.Go(func() {
			sigs, err := c.give(ctx, id, k, parts[i], want)
			if err != nil {
				out[i].err = &KeeperError{Name: k.Name, Err: err}
				return
			}
			out[i].signatures = sigs
		})
	}
	wg.Wait()
	return out
}

func (c *Client) give(ctx context.Context, id vm.ID, k node.Keeper, part *keeperv1.DealRequest, want []vm.Instance) ([][]byte, error) {
	g, err := grants.Sign(c.set.Wallet, grant.Grant{
		Purpose: grant.Deal, ChainID: c.set.ChainID, VMID: id, Audience: k.Identity, ClientKey: c.set.Keepers.Key(),
		ExpiresAt: c.now().Add(grantLife).Unix(),
	})
	if err != nil {
		return nil, err
	}
	part.Grant = g
	client, release, err := c.set.Keepers.Keeper(k)
	if err != nil {
		return nil, err
	}
	defer release()
	for attempt := 1; ; attempt++ {
		resp, err := call(ctx, client, part)
		if err == nil {
			return c.checkReceipts(id, k, resp.GetReceipts(), want)
		}
		// The same deal twice is one deal to a keeper.
		if attempt == keeperAttempts || status.Code(err) != codes.Unavailable {
			return nil, errors.New(text.Clean(status.Convert(err).Message(), maxRefusal))
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(c.pause * time.Duration(attempt)):
		}
	}
}

func call(ctx context.Context, client keeperv1.KeeperClient, part *keeperv1.DealRequest) (*keeperv1.DealResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	return client.Deal(ctx, part)
}

// checkReceipts verifies the keeper's signature for every instance: a keeper that signs nonsense holds nothing.
func (c *Client) checkReceipts(id vm.ID, k node.Keeper, got []*keeperv1.Receipt, want []vm.Instance) ([][]byte, error) {
	bySeq := make(map[uint32][]byte, len(want))
	for _, r := range got {
		bySeq[r.GetSeq()] = r.GetSignature()
	}
	if len(k.Identity) != ed25519.PublicKeySize {
		return nil, errors.New("its identity on chain is no Ed25519 key")
	}
	sigs := make([][]byte, len(want))
	for i, w := range want {
		digest := instance.ReceiptDigest(c.set.ChainID, c.set.Wallet.Address(), id, w.Seq, w.CommitteeEpoch, w.CommitmentHash, w.BundleHash)
		sigs[i] = bySeq[w.Seq]
		if !ed25519.Verify(k.Identity, digest, sigs[i]) {
			return nil, fmt.Errorf("its receipt for instance %d is not valid", w.Seq)
		}
	}
	return sigs, nil
}
