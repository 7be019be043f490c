package node

import (
	"context"
	"fmt"
	"slices"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/rpc/client/local"
	coretypes "github.com/cometbft/cometbft/rpc/core/types"
)

// cachedBlocks is how many of the blocks looked at last are kept decoded: what many ask for is in the newest.
const cachedBlocks = 4

// lookup is CometBFT's local client with the node's own index of transactions, since CometBFT's is off.
type lookup struct {
	*local.Local

	index *txIndex
	// done is the last height whose state may be asked about.
	done func() int64

	mu     sync.Mutex
	cached []*executedBlock
}

// executedBlock is a block with its results.
type executedBlock struct {
	height  int64
	block   *coretypes.ResultBlock
	results *coretypes.ResultBlockResults
}

// Tx is a transaction of a committed block, without a proof: whoever wants one has the block. The SDK's service turns words "not found" into its code.
func (l *lookup) Tx(ctx context.Context, hash []byte, _ bool) (*coretypes.ResultTx, error) {
	at, found, err := l.index.find(hash)
	if err != nil {
		return nil, err
	}
	if !found || at.height > l.done() {
		return nil, fmt.Errorf("transaction %X not found", hash)
	}
	b, err := l.executed(ctx, at.height)
	if err != nil {
		return nil, err
	}
	if b == nil || int(at.index) >= len(b.block.Block.Txs) || int(at.index) >= len(b.results.TxsResults) {
		return nil, fmt.Errorf("transaction %X not found", hash)
	}
	return &coretypes.ResultTx{
		Hash: hash, Height: at.height, Index: at.index, TxResult: *b.results.TxsResults[at.index], Tx: b.block.Block.Txs[at.index],
	}, nil
}

// Block at a height; nil for the newest.
func (l *lookup) Block(ctx context.Context, height *int64) (*coretypes.ResultBlock, error) {
	if height != nil {
		l.mu.Lock()
		b := l.known(*height)
		l.mu.Unlock()
		if b != nil {
			return b.block, nil
		}
	}
	return l.Local.Block(ctx, height)
}

// known is a block that was looked at lately, or nil. The caller holds the lock.
func (l *lookup) known(height int64) *executedBlock {
	i := slices.IndexFunc(l.cached, func(b *executedBlock) bool { return b.height == height })
	if i < 0 {
		return nil
	}
	return l.cached[i]
}

// executed is a block with its results; nil if it was pruned.
func (l *lookup) executed(ctx context.Context, height int64) (*executedBlock, error) {
	l.mu.Lock()
	defer l.mu.Unlock() // of many that ask for the same block, one reads it
	if b := l.known(height); b != nil {
		return b, nil
	}
	block, err := l.Local.Block(ctx, &height)
	if err != nil || block.Block == nil {
		return nil, nil //nolint:nilnil // a height that is pruned is an error there, and no block here
	}
	results, err := l.BlockResults(ctx, &height)
	if err != nil {
		return nil, err
	}
	b := &executedBlock{height: height, block: block, results: results}
	l.cached = append([]*executedBlock{b}, l.cached[:min(len(l.cached), cachedBlocks-1)]...)
	return b, nil
}

// healIndex adds what a crash left out of the index of transactions. Consensus must not run yet.
func (n *Node) healIndex(ctx context.Context, comet *local.Local) error {
	store := n.comet.BlockStore()
	from := blockSource{
		base: store.Base(), height: store.Height(),
		txs: func(height int64) ([][]byte, bool) {
			b := store.LoadBlock(height)
			if b == nil {
				return nil, false
			}
			return b.Txs.ToSliceOfBytes(), true
		},
		results: func(height int64) ([]*abci.ExecTxResult, error) {
			r, err := comet.BlockResults(ctx, &height)
			if err != nil {
				return nil, err
			}
			return r.TxsResults, nil
		},
	}
	healed, err := n.index.heal(from)
	if err != nil {
		return fmt.Errorf("index of transactions: %w", err)
	}
	if healed > 0 {
		n.log.Info("blocks added to the index of transactions", "blocks", healed)
	}
	return nil
}
