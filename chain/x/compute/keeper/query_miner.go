package keeper

import (
	"cmp"
	"context"
	"math"
	"slices"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

const (
	// maxMinerPage bounds a page of a miner's VMs, and is its default.
	maxMinerPage = 500
	// MaxReleased bounds the released ids of a page; a miner that missed more must take a full listing.
	MaxReleased = 5000
)

// MinerVMs follows a miner's VMs. Ordered by the height of the last change and
// id, a page begins after (after_height, after_id), or with the block after
// after_height when after_id is empty; with all set it is ordered by id alone
// and begins after after_id. Released ids come with the page whose VMs span
// the height at which they were released.
func (s queryServer) MinerVMs(ctx context.Context, r *types.QueryMinerVMsRequest) (*types.QueryMinerVMsResponse, error) {
	if err := checkAddress("miner", r.Miner); err != nil {
		return nil, err
	}
	if r.AfterHeight < 0 || r.AfterHeight == math.MaxInt64 {
		return nil, status.Errorf(codes.InvalidArgument, "after_height %d is no height", r.AfterHeight)
	}
	if r.AfterId != "" {
		if _, err := vm.ParseID(r.AfterId); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
	}
	limit := maxMinerPage
	if r.Limit > 0 && r.Limit < maxMinerPage {
		limit = int(r.Limit)
	}
	out := &types.QueryMinerVMsResponse{Height: sdk.UnwrapSDKContext(ctx).BlockHeight()}
	var err error
	if out.OldestHeight, err = s.k.oldest(ctx); err != nil {
		return nil, err
	}
	if out.Head, err = s.k.head(ctx); err != nil {
		return nil, err
	}
	if r.All {
		return out, s.listAll(ctx, r, limit, out)
	}
	return out, s.listChanged(ctx, r, limit, out)
}

// listAll pages through everything a miner holds, in the order of ids, which changes do not move.
func (s queryServer) listAll(ctx context.Context, r *types.QueryMinerVMsRequest, limit int, out *types.QueryMinerVMsResponse) error {
	var ids []string
	err := s.k.miners.Walk(ctx, new(collections.Range[minerKey]).Prefix(collections.TriplePrefix[string, int64, string](r.Miner)),
		func(key minerKey) (bool, error) {
			if key.K3() > r.AfterId {
				ids = append(ids, key.K3())
			}
			return false, nil
		})
	if err != nil {
		return err
	}
	slices.Sort(ids)
	if len(ids) > limit {
		ids, out.More = ids[:limit], true
	}
	n, err := s.appendVMs(ctx, out, len(ids), func(i int) string { return ids[i] })
	out.More = out.More || n < len(ids)
	return err
}

func (s queryServer) listChanged(ctx context.Context, r *types.QueryMinerVMsRequest, limit int, out *types.QueryMinerVMsResponse) error {
	after := collections.Join3(r.Miner, r.AfterHeight, r.AfterId)
	var keys []minerKey
	err := walkAfter(ctx, s.k.miners, after, func(key minerKey) (bool, error) {
		keys = append(keys, key)
		return len(keys) > limit, nil
	})
	if err != nil {
		return err
	}
	if len(keys) > limit {
		keys, out.More = keys[:limit], true
	}
	n, err := s.appendVMs(ctx, out, len(keys), func(i int) string { return keys[i].K3() })
	if err != nil {
		return err
	}
	if n < len(keys) {
		keys, out.More = keys[:n], true
	}
	return walkAfter(ctx, s.k.released, after, func(key minerKey) (bool, error) {
		if out.More && compareKeys(key, keys[len(keys)-1]) > 0 {
			return true, nil
		}
		if len(out.Released) >= MaxReleased {
			out.OldestHeight = out.Height
			return true, nil
		}
		v, err := s.k.vms.Get(ctx, key.K3())
		if err == nil && v.Status.Miner == r.Miner {
			return false, nil // it holds it again
		}
		out.Released = append(out.Released, key.K3())
		return false, nil
	})
}

// appendVMs adds VMs until enough was read for the page, and says how many of those that there are.
func (s queryServer) appendVMs(ctx context.Context, out *types.QueryMinerVMsResponse, all int, id func(i int) string) (n int, err error) {
	read := 0
	for ; n < all && read < MaxPageBytes; n++ {
		size, err := s.appendVM(ctx, out, id(n))
		if err != nil {
			return n, err
		}
		read += size
	}
	return n, nil
}

// appendVM adds a VM as miners need it: with the instances up to the present one, without receipts. It says how many bytes were read.
func (s queryServer) appendVM(ctx context.Context, out *types.QueryMinerVMsResponse, id string) (read int, err error) {
	v, err := s.k.VM(ctx, id)
	if err != nil {
		return 0, err
	}
	if v.Instances, err = s.k.instancesOf(ctx, id, v.Status.InstanceSeq); err != nil {
		return 0, err
	}
	if v, err = s.k.withKeys(ctx, v); err != nil {
		return 0, err
	}
	read = v.Size()
	for i := range v.Instances {
		v.Instances[i].Receipts = nil
	}
	out.Vms = append(out.Vms, v)
	return read, nil
}

// walkAfter walks one miner's entries after a height and id; without an id, those of later heights.
func walkAfter(ctx context.Context, set collections.KeySet[minerKey], after minerKey, visit func(minerKey) (bool, error)) error {
	rng := new(collections.Range[minerKey])
	if after.K3() == "" {
		rng.StartInclusive(collections.TripleSuperPrefix[string, int64, string](after.K1(), after.K2()+1))
	} else {
		rng.StartExclusive(after)
	}
	return set.Walk(ctx, rng, func(key minerKey) (bool, error) {
		if key.K1() != after.K1() {
			return true, nil
		}
		return visit(key)
	})
}

func compareKeys(a, b minerKey) int {
	return cmp.Or(cmp.Compare(a.K2(), b.K2()), cmp.Compare(a.K3(), b.K3()))
}
