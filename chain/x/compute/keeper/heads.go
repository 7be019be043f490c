package keeper

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
)

const (
	// headSlack is how long a block is kept beyond the age that counts, in seconds.
	headSlack = 30
	// maxHeadsDropped in one block: more than arrive, so the ring stays short.
	maxHeadsDropped = 16
)

// noteHead keeps the block's hash and time and drops those too old to be signed.
func (k *Keeper) noteHead(ctx context.Context) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	sctx := sdk.UnwrapSDKContext(ctx)
	var old []int64
	err = k.heads.Walk(ctx, nil, func(h int64, head types.Head) (bool, error) {
		if now(ctx)-head.Time <= int64(p.ProofMaxAgeSeconds)+headSlack || len(old) >= maxHeadsDropped {
			return true, nil
		}
		old = append(old, h)
		return false, nil
	})
	if err != nil {
		return err
	}
	for _, h := range old {
		if err := k.heads.Remove(ctx, h); err != nil {
			return err
		}
	}
	hash := sctx.HeaderHash()
	if len(hash) == 0 {
		return nil // without a hash there is nothing to sign
	}
	return k.heads.Set(ctx, sctx.BlockHeight(), types.Head{Height: sctx.BlockHeight(), Hash: hash, Time: now(ctx)})
}

// head is the newest block that may be signed; zero before the first.
func (k *Keeper) head(ctx context.Context) (types.Head, error) {
	var newest types.Head
	err := k.heads.Walk(ctx, new(headRange).Descending(), func(_ int64, head types.Head) (bool, error) {
		newest = head
		return true, nil
	})
	return newest, err
}
