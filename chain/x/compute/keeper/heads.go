package keeper

import (
	"context"
	"errors"
	"strconv"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/entry"
)

const (
	// headSlack is how long a block is kept beyond the age that counts, in seconds.
	headSlack = 30
	// maxHeadsDropped in one block: more than arrive, so the ring stays short.
	maxHeadsDropped = 16
)

// noteHead keeps the block's hash and time and drops those too old to be signed. A halt before it is noted.
func (k *Keeper) noteHead(ctx context.Context) error {
	sctx := sdk.UnwrapSDKContext(ctx)
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	newest, err := k.head(ctx)
	if err == nil {
		err = k.noteHalt(ctx, newest.Time)
	}
	if err != nil { // a record that cannot be read stops no chain
		entry.Failed(ctx, types.ModuleName, "note_halt", strconv.FormatInt(sctx.BlockHeight(), 10), err)
	}
	old, err := k.oldHeads(ctx, now(ctx)-int64(p.ProofMaxAgeSeconds)-headSlack)
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

// oldHeads are blocks from before a time, and those that cannot be read, up to the first that is neither.
func (k *Keeper) oldHeads(ctx context.Context, before int64) (old []int64, err error) {
	it, err := k.heads.Iterate(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ; it.Valid() && len(old) < maxHeadsDropped; it.Next() {
		h, err := it.Key()
		if err != nil {
			return nil, err
		}
		head, err := it.Value()
		if err != nil {
			entry.Failed(ctx, types.ModuleName, "note_head", strconv.FormatInt(h, 10), err)
		} else if head.Time >= before {
			break
		}
		old = append(old, h)
	}
	return old, nil
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
