package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	cfg "github.com/cometbft/cometbft/config"
)

// databases opens CometBFT's and closes all of them: it leaves the transaction index open itself.
type databases struct {
	mu     sync.Mutex
	opened []dbm.DB
}

func (d *databases) open(c *cfg.DBContext) (dbm.DB, error) {
	db, err := cfg.DefaultDBProvider(c)
	if err != nil {
		return nil, err
	}
	once := &onceClosed{DB: db}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened = append(d.opened, once)
	return once, nil
}

func (d *databases) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, db := range d.opened {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

// onceClosed may be closed again without harm. Who reads after that waits for
// ever: CometBFT closes its databases while it still talks to peers, and panics
// on what a closed one answers.
type onceClosed struct {
	dbm.DB

	using  sync.RWMutex
	closed bool
	err    error
}

func (o *onceClosed) Close() error {
	o.using.Lock()
	defer o.using.Unlock()
	if !o.closed {
		o.closed = true
		o.err = o.DB.Close()
	}
	return o.err
}

// enter lets a reader in until leave.
func (o *onceClosed) enter() {
	o.using.RLock()
	if o.closed {
		o.using.RUnlock()
		select {}
	}
}

func (o *onceClosed) leave() { o.using.RUnlock() }

func (o *onceClosed) Get(key []byte) ([]byte, error) {
	o.enter()
	defer o.leave()
	return o.DB.Get(key)
}

func (o *onceClosed) Has(key []byte) (bool, error) {
	o.enter()
	defer o.leave()
	return o.DB.Has(key)
}

// watchedApp tells the node when a block could not be executed. CometBFT stops
// taking part then, but its process lives on.
type watchedApp struct {
	abci.Application

	failed func(height int64, err error)
	// executed is told of each block that went through, before it is committed.
	executed func(*abci.RequestFinalizeBlock, *abci.ResponseFinalizeBlock) error
	// committed is told of each block that was committed, with the first height that the application wants kept, and says
	// which to keep; 0 for all.
	committed func(retain int64) (int64, error)
}

func (w watchedApp) FinalizeBlock(ctx context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	defer w.watch(req.Height)
	res, err := w.Application.FinalizeBlock(ctx, req)
	if err != nil {
		w.failed(req.Height, fmt.Errorf("block %d: %w", req.Height, err))
		return res, err
	}
	if err := w.executed(req, res); err != nil {
		w.failed(req.Height, fmt.Errorf("block %d: %w", req.Height, err))
		return nil, err
	}
	return res, nil
}

func (w watchedApp) Commit(ctx context.Context, req *abci.RequestCommit) (*abci.ResponseCommit, error) {
	defer w.watch(0)
	res, err := w.Application.Commit(ctx, req)
	if err != nil {
		w.failed(0, fmt.Errorf("commit: %w", err))
		return res, err
	}
	if res.RetainHeight, err = w.committed(res.RetainHeight); err != nil {
		w.failed(0, fmt.Errorf("commit: %w", err))
	}
	return res, err
}

// watch passes a panic on after telling of it.
func (w watchedApp) watch(height int64) {
	if r := recover(); r != nil {
		w.failed(height, fmt.Errorf("block %d: %v", height, r))
		panic(r)
	}
}
