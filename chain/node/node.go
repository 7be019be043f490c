// Package node runs the chain's application in consensus with others: it
// starts and stops a CometBFT node from a home folder, and the interfaces that
// programs and operators connect to. Its API is in plain types, so that who
// starts nodes need not know the SDK.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cfg "github.com/cometbft/cometbft/config"
	cometnode "github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/rpc/client/local"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/server"
	pruningtypes "github.com/cosmos/cosmos-sdk/store/v2/pruning/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/internal/observe"
)

// Node is a running node of the chain.
type Node struct {
	app    *app.App
	comet  *cometnode.Node
	config Config
	info   Info
	log    *slog.Logger
	// closing makes the SDK and CometBFT log errors a level lower: what ends is reported as broken.
	closing  atomic.Bool
	observer *observe.Observer
	counted  counted

	snapshots *snapshotter
	index     *txIndex
	retention atomic.Pointer[retention]

	about               about
	grpcAddr, plainAddr string

	failed chan error
	// closers run in reverse.
	closers []func(context.Context) error
	once    sync.Once
	closed  error
}

// Start starts a node from its home folder, made by Init and
// WriteGenesis, and returns when it listens. ctx bounds the start only; end the
// node with Close. A port of 0 is replaced by a free one.
func Start(ctx context.Context, c Config, log *slog.Logger) (_ *Node, err error) {
	app.Configure()
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	if c.P2P, err = freePort(ctx, c.P2P); err != nil {
		return nil, err
	}
	if c.RPC != "" {
		if c.RPC, err = freePort(ctx, c.RPC); err != nil {
			return nil, err
		}
	}
	keys, err := loadKeys(c.Home)
	if err != nil {
		return nil, err
	}
	n := &Node{
		config: c, log: log, failed: make(chan error, 1), observer: observe.New(app.Name, c.Version),
		counted: counted{phases: map[string]float64{}, entries: noEntries()},
	}
	defer func() {
		if err != nil {
			err = errors.Join(n.cause(err), n.Close(context.WithoutCancel(ctx)))
		}
	}()
	if n.info, err = keys.info(); err != nil {
		return nil, err
	}
	genesis, err := genutiltypes.AppGenesisFromFile(filepath.Join(c.Home, genesisFile))
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	if err := began(c.Home, genesis); err != nil {
		return nil, err
	}
	n.about.chainID = genesis.ChainID
	if n.about.genesis, err = genesisHash(c.Home); err != nil {
		return nil, err
	}
	if err := n.openApp(genesis.ChainID); err != nil { //nolint:contextcheck // a block has a context of its own
		return nil, err
	}
	if err := n.openComet(ctx, keys, genesis); err != nil {
		return nil, err
	}
	if err := n.comet.Start(); err != nil {
		return nil, fmt.Errorf("start consensus: %w", err)
	}
	n.onClose(func(context.Context) error {
		if err := n.comet.Stop(); err != nil {
			return fmt.Errorf("stop consensus: %w", err)
		}
		n.comet.Wait()
		return nil
	})
	if err := n.serve(ctx, keys.identity); err != nil {
		return nil, err
	}
	log.Info("node started", "chain_id", genesis.ChainID, "height", n.Height(), "peer_addr", n.PeerAddr(), "grpc_addr", n.grpcAddr)
	return n, nil
}

// openApp opens the state machine over its database.
func (n *Node) openApp(chainID string) error {
	db, err := openState(n.config.Home)
	if err != nil {
		return err
	}
	n.onClose(func(context.Context) error { return db.Close() })
	if n.snapshots, err = openSnapshots(&n.config, n.log); err != nil {
		return err
	}
	n.onClose(n.snapshots.close)
	pruning := pruningtypes.NewPruningOptions(pruningtypes.PruningNothing)
	if keep := n.config.KeepStates; keep > 0 {
		pruning = pruningtypes.NewCustomPruningOptions(keep, pruneInterval)
	}
	n.app, err = app.New(app.Options{
		Logger: quiet{n.log, &n.closing}.sdk(), DB: db, ChainID: chainID, Home: n.config.Home, CheckInvariants: n.config.CheckInvariants, Upgrades: n.config.Upgrades,
		BaseApp: []func(*baseapp.BaseApp){
			baseapp.SetPruning(pruning), baseapp.SetQueryGasLimit(queryGas), baseapp.SetIAVLCacheSize(stateCache),
			baseapp.SetMinRetainBlocks(n.config.retainBlocks()), baseapp.SetSnapshot(n.snapshots.store, n.snapshots.options()),
			// States stay until their snapshot is taken.
			func(b *baseapp.BaseApp) { b.CommitMultiStore().SetSnapshotInterval(n.config.SnapshotInterval) },
		},
	})
	if err != nil {
		return err
	}
	n.snapshots.manager = n.app.SnapshotManager()
	return nil
}

const (
	// pruneInterval is how many heights are pruned at once.
	pruneInterval = 50
	// queryGas bounds the work of one query.
	queryGas = 200_000_000
	// stateCache bounds the state's cache, in tree nodes.
	stateCache = 100_000
)

// openComet prepares consensus; it is started by itself.
func (n *Node) openComet(ctx context.Context, keys keySet, genesis *genutiltypes.AppGenesis) error {
	dbs := &databases{}
	n.onClose(func(context.Context) error { return dbs.close() })
	var err error
	if n.index, err = openTxIndex(n.config.Home); err != nil {
		return err
	}
	n.onClose(func(context.Context) error { return n.index.close() })
	watched := watchedApp{
		Application: server.NewCometABCIWrapper(n.app), failed: n.failAt, executed: n.executed, committed: n.committed,
	}
	comet, err := cometnode.NewNodeWithContext(ctx, n.cometConfig(), keys.consensus, keys.p2p, proxy.NewLocalClientCreator(watched),
		func() (*cmttypes.GenesisDoc, error) { return genesis.ToGenesisDoc() },
		dbs.open, cometMetrics(n.observer.Metrics), quiet{n.log, &n.closing})
	if err != nil {
		return fmt.Errorf("prepare consensus: %w", err)
	}
	n.comet = comet
	client := local.New(comet)
	if err := n.healIndex(ctx, client); err != nil {
		return err
	}
	n.retention.Store(&retention{
		base: comet.BlockStore().Base, meta: comet.BlockStore().LoadBlockMeta,
		evidenceAge: func() (time.Duration, error) { return evidenceAge(n.app) }, //nolint:contextcheck // asked long after the start, of the state as it is then
	})
	n.registerServices(&lookup{Local: client, index: n.index, done: n.Height})
	return nil
}

// executed takes note of a block that was executed and is committed next.
func (n *Node) executed(req *abci.RequestFinalizeBlock, res *abci.ResponseFinalizeBlock) error {
	n.counted.block(req, res)
	if err := n.index.add(req.Height, req.Txs, res.TxResults); err != nil {
		return fmt.Errorf("index of transactions: %w", err)
	}
	return nil
}

// committed takes a snapshot if one is due, and says which block is the first to keep. Blocks that are replayed at the
// start prune nothing.
func (n *Node) committed(retain int64) (int64, error) {
	n.snapshots.committed(n.Height())
	r := n.retention.Load()
	if r == nil {
		return 0, nil
	}
	retain, err := r.height(retain, time.Now())
	if err != nil {
		return 0, fmt.Errorf("blocks to keep: %w", err)
	}
	return retain, n.index.forget(r.base())
}

// cometConfig turns the settings into CometBFT's.
func (n *Node) cometConfig() *cfg.Config {
	c := cfg.DefaultConfig()
	c.SetRoot(n.config.Home)
	c.Moniker = n.info.PeerID
	c.P2P.ListenAddress = "tcp://" + n.config.P2P
	if n.config.External != "" {
		c.P2P.ExternalAddress = n.config.External
	}
	c.P2P.PersistentPeers = strings.Join(n.config.Peers, ",")
	c.P2P.PexReactor = n.config.PeerExchange
	c.P2P.AddrBookStrict = !n.config.PrivateNetwork
	c.P2P.AllowDuplicateIP = n.config.PrivateNetwork
	c.P2P.AddrBook = filepath.Join(dataDir, "addresses.json")
	c.RPC.ListenAddress = ""
	if n.config.RPC != "" {
		c.RPC.ListenAddress = "tcp://" + n.config.RPC
	}
	c.Consensus.TimeoutCommit = n.config.BlockTime
	c.Consensus.TimeoutPropose = n.config.ProposeTimeout
	c.Consensus.TimeoutPrevote = n.config.ProposeTimeout / 3
	c.Consensus.TimeoutPrecommit = n.config.ProposeTimeout / 3
	c.Mempool.Recheck = true
	c.Mempool.MaxTxBytes = app.MaxTxBytes
	// What waits is bounded by the application, by lane.
	c.Mempool.Size, c.Mempool.MaxTxsBytes, c.Mempool.CacheSize = app.MempoolTxs, app.MempoolBytes, 2*app.MempoolTxs
	c.TxIndex.Indexer = "null" // the node has its own
	n.config.StateSync.comet(c.StateSync)
	return c
}

// onClose adds a step of Close; the last added runs first.
func (n *Node) onClose(f func(context.Context) error) { n.closers = append(n.closers, f) }

// Close stops the node and returns when it holds no file and no port any more. It may be called twice.
func (n *Node) Close(ctx context.Context) error {
	n.once.Do(func() {
		n.closing.Store(true)
		var errs []error
		for _, f := range slices.Backward(n.closers) {
			errs = append(errs, f(ctx))
		}
		n.closed = errors.Join(errs...)
	})
	return n.closed
}

// fail notes that the node cannot go on.
func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default: // the first failure is the cause
	}
}

// failAt notes that a block could not be executed; the first sentence is the one for the operator.
func (n *Node) failAt(height int64, err error) {
	if height > 0 {
		err = errors.Join(n.app.WrongVersion(height), err)
	}
	n.fail(err)
}

// cause puts the failure of a block, which consensus wraps beyond recognition, before what it led to.
func (n *Node) cause(err error) error {
	select {
	case first := <-n.failed:
		return errors.Join(first, err)
	default:
		return err
	}
}

// Run blocks until ctx ends or the node cannot go on, such as at an upgrade, and closes it.
func (n *Node) Run(ctx context.Context) error {
	var cause error
	select {
	case <-ctx.Done():
	case cause = <-n.failed:
		n.log.Error("node cannot go on", "error", cause)
	}
	return errors.Join(cause, n.Close(context.WithoutCancel(ctx)))
}

// Info is what others must know of the node.
func (n *Node) Info() Info { return n.info }

// PeerAddr is id@host:port for other nodes' Peers.
func (n *Node) PeerAddr() string {
	return n.info.PeerID + "@" + cmp.Or(n.config.External, n.config.P2P)
}

// GRPCAddr is where programs connect over TLS, or empty.
func (n *Node) GRPCAddr() string { return n.grpcAddr }

// GRPCPlainAddr is where programs on this host connect, or empty.
func (n *Node) GRPCPlainAddr() string { return n.plainAddr }

// RPCAddr is where CometBFT's own interface is, or empty.
func (n *Node) RPCAddr() string { return n.config.RPC }

// Height of the last block that the node has executed.
func (n *Node) Height() int64 { return n.app.LastBlockHeight() }

// freePort replaces port 0 by one that was free just before: CometBFT does not say which one it got.
func freePort(ctx context.Context, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port != "0" {
		return addr, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close() //nolint:errcheck // nothing was sent
	return l.Addr().String(), nil
}
