package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
)

// txIndex says in which block a transaction is. CometBFT's own index cannot be pruned; this one holds what the block store
// holds, and nothing beside the hash: block and result are read from CometBFT's stores. It is written when a block is
// executed, before the block is committed. What is missing after a crash is added from the block store at the next start.
type txIndex struct {
	mu sync.Mutex
	db dbm.DB
	// whole says that no block of the store is missing up to the last one noted: true once heal has run.
	whole bool
	// from is the first height that may have entries: what was deleted before is not walked over each time.
	from int64
}

// Keys of the index: 't' hash → height, place, outcome; 'b' height place → hash; 'l' → height up to which it is whole.
const (
	prefixTx    = 't'
	prefixPlace = 'b'
	prefixLast  = 'l'
)

// maxForgotten bounds the transactions dropped from the index after one block; the rest follows.
const maxForgotten = 10_000

// txPlace is where a transaction is.
type txPlace struct {
	height int64
	index  uint32
	// ok says that it was carried out.
	ok bool
}

func openTxIndex(home string) (*txIndex, error) {
	db, err := dbm.NewGoLevelDB("transactions", filepath.Join(home, dataDir), nil)
	if err != nil {
		return nil, fmt.Errorf("open the index of transactions: %w", err)
	}
	return &txIndex{db: db}, nil
}

func (x *txIndex) close() error { return x.db.Close() }

// add notes the transactions of a block. A hash that is there already keeps its place if that transaction was carried
// out: a later copy of it can only have failed.
func (x *txIndex) add(height int64, txs [][]byte, results []*abci.ExecTxResult) (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	batch := x.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	inBlock := map[string]bool{}
	for i, tx := range txs {
		at := txPlace{height: height, index: uint32(i), ok: i < len(results) && results[i].Code == abci.CodeTypeOK}
		hash := cmttypes.Tx(tx).Hash()
		old, found, err := x.get(hash)
		if err != nil {
			return err
		}
		if found && old.ok && old.height != height || inBlock[string(hash)] {
			continue
		}
		inBlock[string(hash)] = at.ok
		if err := errors.Join(batch.Set(txKey(hash), at.encode()), batch.Set(placeKey(at), hash)); err != nil {
			return err
		}
	}
	last, err := x.last()
	if err != nil {
		return err
	}
	if x.whole || height == last+1 {
		if err := batch.Set([]byte{prefixLast}, binary.BigEndian.AppendUint64(nil, uint64(max(height, last)))); err != nil {
			return err
		}
	}
	return batch.Write()
}

// find is where a transaction is, if it is known.
func (x *txIndex) find(hash []byte) (txPlace, bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.get(hash)
}

func (x *txIndex) get(hash []byte) (txPlace, bool, error) {
	bz, err := x.db.Get(txKey(hash))
	if err != nil || len(bz) == 0 {
		return txPlace{}, false, err
	}
	at, err := decodePlace(bz)
	return at, err == nil, err
}

// last is the height up to which every block of the store is in the index.
func (x *txIndex) last() (int64, error) {
	bz, err := x.db.Get([]byte{prefixLast})
	if err != nil || len(bz) == 0 {
		return 0, err
	}
	if len(bz) != 8 {
		return 0, fmt.Errorf("index of transactions: its height has %d bytes", len(bz))
	}
	return int64(binary.BigEndian.Uint64(bz)), nil
}

// forget drops the transactions of blocks below a height, at most maxForgotten at a time.
func (x *txIndex) forget(below int64) (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if below <= x.from {
		return nil
	}
	it, err := x.db.Iterator(placeKey(txPlace{height: x.from}), placeKey(txPlace{height: below}))
	if err != nil {
		return err
	}
	batch := x.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	n := 0
	for ; it.Valid() && n < maxForgotten; it.Next() {
		key, hash := it.Key(), it.Value()
		at, found, err := x.get(hash)
		if err == nil && found && string(placeKey(at)) == string(key) {
			err = batch.Delete(txKey(hash))
		}
		if err := errors.Join(err, batch.Delete(key)); err != nil {
			return errors.Join(err, it.Close())
		}
		n++
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return err
	}
	if n < maxForgotten {
		x.from = below
	}
	if n == 0 {
		return nil
	}
	return batch.Write()
}

// blockSource is where missing blocks are taken from.
type blockSource struct {
	base, height int64
	txs          func(height int64) ([][]byte, bool)
	results      func(height int64) ([]*abci.ExecTxResult, error)
}

// heal adds the blocks of the store that are not in the index: after a crash the last few, after the loss of the index all.
func (x *txIndex) heal(from blockSource) (healed int64, err error) {
	last, err := x.last()
	if err != nil {
		return 0, err
	}
	for h := max(last+1, from.base, 1); h <= from.height; h++ {
		txs, found := from.txs(h)
		if !found {
			continue
		}
		var results []*abci.ExecTxResult
		if len(txs) > 0 {
			if results, err = from.results(h); err != nil {
				return healed, fmt.Errorf("results of block %d: %w", h, err)
			}
		}
		if err := x.add(h, txs, results); err != nil {
			return healed, err
		}
		healed++
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.whole = true
	if from.height <= last {
		return healed, nil
	}
	return healed, x.db.Set([]byte{prefixLast}, binary.BigEndian.AppendUint64(nil, uint64(from.height)))
}

func txKey(hash []byte) []byte { return append([]byte{prefixTx}, hash...) }

func placeKey(at txPlace) []byte {
	key := binary.BigEndian.AppendUint64([]byte{prefixPlace}, uint64(at.height))
	return binary.BigEndian.AppendUint32(key, at.index)
}

func (p txPlace) encode() []byte {
	bz := binary.BigEndian.AppendUint64(nil, uint64(p.height))
	bz = binary.BigEndian.AppendUint32(bz, p.index)
	if p.ok {
		return append(bz, 1)
	}
	return append(bz, 0)
}

func decodePlace(bz []byte) (txPlace, error) {
	if len(bz) != 13 {
		return txPlace{}, fmt.Errorf("index of transactions: a place has %d bytes", len(bz))
	}
	return txPlace{height: int64(binary.BigEndian.Uint64(bz)), index: binary.BigEndian.Uint32(bz[8:]), ok: bz[12] == 1}, nil
}
