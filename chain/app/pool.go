package app

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/types/mempool"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
)

// pool is what waits for a block on this node, by lane. Within a lane those come first that pay most for their gas, and free
// reports before all; an account's transactions stay in the order of their sequence numbers, across lanes too. Each lane is
// bounded by itself, and an account's share of a full one. Consensus keeps a list of the same transactions to spread them; what the pool drops it refuses when
// consensus checks it again.
type pool struct {
	mu sync.Mutex
	// senders have at least one transaction each, by sequence number.
	senders map[string][]*waiting
	held    [lanes]load
	arrived uint64
	// evicted are those that consensus may still have, with their lane.
	evicted map[place]lane
	dropped [lanes]int
}

// load is how much waits in a lane.
type load struct{ txs, bytes int }

// place is what only one transaction of a chain has.
type place struct {
	sender   string
	sequence uint64
}

// waiting is a transaction that waits for a block.
type waiting struct {
	place

	tx   sdk.Tx
	raw  []byte
	lane lane
	// shared: further accounts sign it.
	shared   bool
	extent   extent
	priority int64
	arrival  uint64
}

func newPool() *pool { return &pool{senders: map[string][]*waiting{}, evicted: map[place]lane{}} }

var _ mempool.ExtMempool = (*pool)(nil)

// placeOf a transaction is its first signer's.
func placeOf(tx sdk.Tx) (at place, shared bool, err error) {
	signed, ok := tx.(authsigning.SigVerifiableTx)
	if !ok {
		return at, false, sdkerrors.ErrTxDecode.Wrap("the transaction carries no signatures")
	}
	signers, err := signed.GetSigners()
	if err != nil {
		return at, false, err
	}
	sigs, err := signed.GetSignaturesV2()
	if err != nil {
		return at, false, err
	}
	if len(signers) == 0 || len(sigs) == 0 {
		return at, false, sdkerrors.ErrNoSignatures.Wrap("the transaction has no signer")
	}
	return place{string(signers[0]), sigs[0].Sequence}, len(signers) > 1, nil
}

// waitingOf reads a transaction that is checked.
func waitingOf(ctx sdk.Context, tx sdk.Tx) (*waiting, error) {
	at, shared, err := placeOf(tx)
	if err != nil {
		return nil, err
	}
	raw := ctx.TxBytes()
	return &waiting{place: at, tx: tx, raw: raw, lane: laneOf(tx), shared: shared, extent: extentOf(tx, raw), priority: ctx.Priority()}, nil
}

// admits is an error if there is no room for a transaction.
func (p *pool) admits(w *waiting) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.victim(w)
	return err
}

// victim is what must go for a transaction; nil for nothing.
func (p *pool) victim(w *waiting) (*waiting, error) {
	held := p.held[w.lane]
	if held.txs < maxWaiting && held.bytes+len(w.raw) <= maxWaitingBytes {
		return nil, nil //nolint:nilnil // nothing must go
	}
	full := sdkerrors.ErrMempoolIsFull.Wrapf("%d transactions of this kind wait for a block on this node, which takes no more that pay as little for their gas: send it again later, or to another node", held.txs)
	own := p.loadOf(w.sender, w.lane)
	if p.dropped[w.lane] >= maxEvicted || own.beyondShare() {
		return nil, full
	}
	var least, most *waiting
	var largest load
	for sender, queue := range p.senders {
		last := queue[len(queue)-1] // what came before it stays valid
		if sender == w.sender || last.lane != w.lane || held.bytes-len(last.raw)+len(w.raw) > maxWaitingBytes {
			continue
		}
		if last.priority < w.priority && (least == nil || order(last, least) > 0) {
			least = last
		}
		if l := p.loadOf(sender, w.lane); l.beyondShare() && (most == nil || l.size() > largest.size() || l.size() == largest.size() && order(last, most) > 0) {
			most, largest = last, l
		}
	}
	switch {
	case most != nil:
		return most, nil
	case least != nil:
		return least, nil
	}
	return nil, full
}

// loadOf is what an account has in a lane.
func (p *pool) loadOf(sender string, l lane) (has load) {
	for _, w := range p.senders[sender] {
		if w.lane == l {
			has.txs++
			has.bytes += len(w.raw)
		}
	}
	return has
}

// size compares loads by both their bounds.
func (l load) size() int { return l.txs*(maxWaitingBytes/maxWaiting) + l.bytes }

// beyondShare tells whether one account has more of a lane than it may once the lane is full.
func (l load) beyondShare() bool {
	return l.txs > maxWaiting/maxAccountPart || l.bytes > maxWaitingBytes/maxAccountPart
}

// order of two transactions in a lane: who pays more for its gas comes first, of equals who came first.
func order(a, b *waiting) int {
	return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.arrival, b.arrival))
}

// Insert adds a transaction that was checked.
func (p *pool) Insert(ctx context.Context, tx sdk.Tx, _ mempool.InsertOption) error {
	w, err := waitingOf(sdk.UnwrapSDKContext(ctx), tx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.insert(w)
}

func (p *pool) insert(w *waiting) error {
	p.take(w.place)
	gone, err := p.victim(w)
	if err != nil {
		return err
	}
	if gone != nil {
		p.take(gone.place)
		p.evicted[gone.place] = gone.lane
		p.dropped[gone.lane]++
	}
	p.arrived++
	w.arrival = p.arrived
	queue := p.senders[w.sender]
	i, _ := slices.BinarySearchFunc(queue, w.sequence, bySequence)
	p.senders[w.sender] = slices.Insert(queue, i, w)
	p.held[w.lane].txs++
	p.held[w.lane].bytes += len(w.raw)
	return nil
}

func bySequence(w *waiting, sequence uint64) int { return cmp.Compare(w.sequence, sequence) }

// take removes what is at a place, and tells whether there was anything.
func (p *pool) take(at place) bool {
	queue := p.senders[at.sender]
	i, found := slices.BinarySearchFunc(queue, at.sequence, bySequence)
	if !found {
		return false
	}
	w := queue[i]
	if queue = slices.Delete(queue, i, i+1); len(queue) == 0 {
		delete(p.senders, at.sender)
	} else {
		p.senders[at.sender] = queue
	}
	p.held[w.lane].txs--
	p.held[w.lane].bytes -= len(w.raw)
	return true
}

// keeps tells whether a transaction that consensus has still waits. If not, consensus forgets it.
func (p *pool) keeps(tx sdk.Tx, raw []byte) bool {
	at, _, err := placeOf(tx)
	if err != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waits(at, raw) {
		return true
	}
	p.forget(at)
	return false
}

// done takes out what was in a block, if it is still there.
func (p *pool) done(tx sdk.Tx, raw []byte) {
	at, _, err := placeOf(tx)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(at)
	if p.waits(at, raw) {
		p.take(at)
	}
}

// waits tells whether a transaction is the one that waits at its place.
func (p *pool) waits(at place, raw []byte) bool {
	queue := p.senders[at.sender]
	i, found := slices.BinarySearchFunc(queue, at.sequence, bySequence)
	return found && bytes.Equal(queue[i].raw, raw)
}

// forget that consensus has one that was evicted.
func (p *pool) forget(at place) {
	if l, ok := p.evicted[at]; ok {
		delete(p.evicted, at)
		p.dropped[l]--
	}
}

// Remove a transaction that is in a block or valid no more.
func (p *pool) Remove(tx sdk.Tx) error {
	at, _, err := placeOf(tx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(at)
	if !p.take(at) {
		return mempool.ErrTxNotFound
	}
	return nil
}

// RemoveWithReason is Remove.
func (p *pool) RemoveWithReason(_ context.Context, tx sdk.Tx, _ mempool.RemoveReason) error {
	return p.Remove(tx)
}

// CountTx is how many wait.
func (p *pool) CountTx() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[reportLane].txs + p.held[otherLane].txs
}

// queues are the senders' transactions, each by sequence number.
func (p *pool) queues() [][]*waiting {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([][]*waiting, 0, len(p.senders))
	for _, queue := range p.senders {
		out = append(out, slices.Clone(queue))
	}
	return out
}

// Select is not used: the node's own proposals look at the lanes.
func (p *pool) Select(context.Context, [][]byte) mempool.Iterator { return nil }

// SelectBy is not used either.
func (p *pool) SelectBy(context.Context, [][]byte, func(mempool.PooledTx) bool) {}
