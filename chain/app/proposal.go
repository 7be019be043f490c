package app

import (
	"container/heap"
	"errors"

	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/types/mempool"
)

// wireProposals sets what this node proposes as a block, and which proposals of others it votes for.
func (a *App) wireProposals() {
	a.SetMempool(a.pool)
	a.SetCheckTxHandler(a.checkTx)
	a.SetPrepareProposal(a.prepareProposal)
	a.SetProcessProposal(a.processProposal)
}

// errLaneFull says that a proposal has more of a lane than it may.
var errLaneFull = errors.New("its lane has more than it may have of a block")

// errDropped says that a transaction made room for another.
var errDropped = sdkerrors.ErrMempoolIsFull.Wrap("others that pay more for their gas wait for a block on this node")

// checkTx is what the node says of a transaction before it spreads it, and again after each block it was not in.
func (a *App) checkTx(run sdk.RunTx, req *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	tx, err := a.TxDecode(req.Tx)
	if err != nil {
		tx = nil // run says why
	}
	if tx != nil && req.Type == abci.CheckTxType_Recheck && !a.pool.keeps(tx, req.Tx) {
		return sdkerrors.ResponseCheckTxWithEvents(errDropped, 0, 0, nil, false), nil
	}
	gas, result, events, err := run(req.Tx, tx)
	if err != nil {
		return sdkerrors.ResponseCheckTxWithEvents(err, gas.GasWanted, gas.GasUsed, events, a.Trace()), nil
	}
	return &abci.ResponseCheckTx{
		GasWanted: int64(gas.GasWanted), GasUsed: int64(gas.GasUsed), Log: result.Log, Data: result.Data, Events: result.Events,
	}, nil
}

// room refuses a transaction at its first check for which its lane has no room, in any block or on this node now. It comes last,
// so that what it refuses has used nothing.
type room struct{ pool *pool }

func (r room) AnteHandle(ctx sdk.Context, tx sdk.Tx, simulate bool, next sdk.AnteHandler) (sdk.Context, error) {
	if !ctx.IsCheckTx() || ctx.IsReCheckTx() || ctx.ExecMode() != sdk.ExecModeCheck {
		return next(ctx, tx, simulate)
	}
	w, err := waitingOf(ctx, tx)
	if err != nil {
		return ctx, err
	}
	if block := roomOf(ctx.ConsensusParams().Block); !w.extent.within(block, lanePercent) {
		return ctx, sdkerrors.ErrInvalidGasLimit.Wrapf("the transaction takes %d gas and %d bytes; a block has %d %% of its %d gas and %d bytes for it",
			w.extent.gas, w.extent.bytes, lanePercent, block.gas, block.bytes)
	}
	if err := r.pool.admits(w); err != nil {
		return ctx, err
	}
	return next(ctx, tx, simulate)
}

// prepareProposal fills a block from the pool: each lane what it owns, then a lane from what the other leaves.
func (a *App) prepareProposal(ctx sdk.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	space := roomOf(ctx.ConsensusParams().Block)
	space.bytes = min(space.bytes, uint64(max(req.MaxTxBytes, 0)))
	p := proposal{app: a, filling: filling{room: space}}
	for _, queue := range a.pool.queues() {
		p.wait(queue)
	}
	p.fill()
	for l := range lanes { // at most one lane still has somebody waiting, else there is nothing to lend
		if len(p.blocked[l]) > 0 && len(p.blocked[l.other()]) == 0 {
			p.lent[l] = true
			for _, queue := range p.blocked[l] {
				p.wait(queue)
			}
			p.blocked[l] = nil
			p.fill()
			break
		}
	}
	for _, tx := range p.invalid {
		if err := a.pool.Remove(tx); err != nil && !errors.Is(err, mempool.ErrTxNotFound) {
			return nil, err
		}
	}
	return &abci.ResponsePrepareProposal{Txs: p.txs}, nil
}

// proposal is a block that is filled.
type proposal struct {
	filling

	app  *App
	txs  [][]byte
	lent [lanes]bool
	// heads are the queues of senders whose next transaction is of the lane; blocked those whose next has no room.
	heads   [lanes]queueHeap
	blocked [lanes][][]*waiting
	invalid []sdk.Tx
}

// wait puts a sender's queue where its first transaction belongs.
func (p *proposal) wait(queue []*waiting) {
	if len(queue) > 0 {
		heap.Push(&p.heads[queue[0].lane], queue)
	}
}

// fill takes transactions until no lane has one that fits.
func (p *proposal) fill() {
	for p.heads[reportLane].Len()+p.heads[otherLane].Len() > 0 {
		for l := range lanes {
			for p.heads[l].Len() > 0 {
				p.next(l, heap.Pop(&p.heads[l]).([]*waiting))
			}
		}
	}
}

// next takes the first of a queue if it fits. What fails to be valid now takes the rest of its sender with it.
func (p *proposal) next(l lane, queue []*waiting) {
	w := queue[0]
	if !p.fits(l, w.extent, p.lent[l] && len(p.blocked[l.other()]) == 0) {
		p.blocked[l] = append(p.blocked[l], queue)
		return
	}
	raw, err := p.app.PrepareProposalVerifyTx(w.tx)
	switch {
	case err == nil:
		p.add(l, w.extent)
		p.txs = append(p.txs, raw)
		p.wait(queue[1:])
	case !w.shared || !errors.Is(err, sdkerrors.ErrWrongSequence): // another signer may be ahead in this block only
		p.invalid = append(p.invalid, w.tx)
	}
}

// queueHeap orders queues by their first transactions.
type queueHeap [][]*waiting

func (h queueHeap) Len() int           { return len(h) }
func (h queueHeap) Less(i, j int) bool { return order(h[i][0], h[j][0]) < 0 }
func (h queueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *queueHeap) Push(x any) { *h = append(*h, x.([]*waiting)) }

// Pop implements heap.Interface.
func (h *queueHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// processProposal votes for a block only if each of its transactions is signed and paid for, and no lane has more than it may.
func (a *App) processProposal(ctx sdk.Context, req *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	f := filling{room: roomOf(ctx.ConsensusParams().Block)}
	for i, raw := range req.Txs {
		tx, _, err := a.ProcessProposalVerifyTx(raw)
		if err != nil {
			return refuse(ctx, i, err), nil
		}
		l, e := laneOf(tx), extentOf(tx, raw)
		if !f.fits(l, e, true) {
			return refuse(ctx, i, errLaneFull), nil
		}
		f.add(l, e)
	}
	return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, nil
}

// FinalizeBlock executes a block. What was in it waits no more, whatever came of it: the framework takes out of the pool only what
// passed the checks, and consensus forgets all of it.
func (a *App) FinalizeBlock(req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	res, err := a.BaseApp.FinalizeBlock(req)
	if err != nil {
		return nil, err
	}
	for i, c := range a.checked {
		if c.tx != nil { // what cannot be read never waited
			a.pool.done(c.tx, req.Txs[i])
		}
	}
	a.checked = nil
	return res, nil
}

// refuse votes against a block, and tells the operator why.
func refuse(ctx sdk.Context, transaction int, err error) *abci.ResponseProcessProposal {
	ctx.Logger().Error("proposal refused", "height", ctx.BlockHeight(), "transaction", transaction, "error", err)
	return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}
}
