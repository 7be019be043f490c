package sentinel

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/internal/observe"
	"github.com/hippius/compute/internal/peer"
	"github.com/hippius/compute/internal/run"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/sentinel/keeper"
)

const (
	// maxDeal bounds a message: 16 bundles and user data with room to spare.
	maxDeal = 512 << 10
	// Calls of one identity key.
	callsPerSecond, callBurst = 20, 60
)

// Run runs a sentinel until ctx ends.
func Run(ctx context.Context, c Config, log *slog.Logger) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	s, err := open(c, log)
	if err != nil {
		return err
	}
	return run.New(log,
		run.Service{Name: "chain", Stop: func(context.Context) error { return s.chain.Close() }},
		run.Service{Name: "database", Start: s.openDatabase, Stop: func(context.Context) error { return s.db.Close() }},
		run.Service{Name: "observer", Start: s.listenObserver, Run: func(ctx context.Context) error { return s.observer.Serve(ctx, s.private) }},
		run.Service{Name: "sweeper", Run: func(ctx context.Context) error { return s.keeper.Run(ctx, c.SweepEvery) }},
		run.Service{Name: "keeper", Start: s.listenKeeper, Run: s.serveKeeper, Stop: s.stopKeeper},
		run.Service{Name: "registration", Run: s.register},
	).Run(ctx)
}

type sentinel struct {
	set      Config
	log      *slog.Logger
	identity ed25519.PrivateKey
	sealing  *sealbox.Key
	chain    *client.Client
	view     *view
	observer *observe.Observer

	db      *store.DB
	keeper  *keeper.Keeper
	server  *peer.Server
	private net.Listener
	public  net.Listener

	registered atomic.Bool
}

// open reads what is on disk; keys are made here at the first start.
func open(c Config, log *slog.Logger) (*sentinel, error) {
	network, err := client.LoadNetwork(c.Network)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	identity, err := peer.LoadOrCreateKey(filepath.Join(c.Data, IdentityFile))
	if err != nil {
		return nil, err
	}
	sealing, err := sealbox.LoadOrCreateKey(filepath.Join(c.Data, SealingFile))
	if err != nil {
		return nil, err
	}
	chain, err := client.New(client.Config{Network: network, Key: identity})
	if err != nil {
		return nil, err
	}
	return &sentinel{
		set: c, log: log, identity: identity, sealing: sealing,
		chain: chain, view: newView(chain, time.Now), observer: observe.New("hippius-sentinel", c.Version),
	}, nil
}

func (s *sentinel) openDatabase(context.Context) error {
	db, err := store.Open(filepath.Join(s.set.Data, DatabaseFile), keeper.Migrations()...)
	if err != nil {
		return err
	}
	s.db = db
	limits := keeper.DefaultLimits()
	s.keeper = keeper.New(keeper.Config{
		ChainID: s.chain.ChainID(), Identity: s.identity, Sealing: s.sealing, DB: db, Chain: s.view,
		Limits: limits, Now: time.Now, Log: s.log,
	})
	s.observer.Ready("chain", s.view.ready)
	s.observer.Gauge("hippius_keeper_vms", "VMs of which shares are held.", func() float64 { return float64(s.count().VMs) })
	s.observer.Gauge("hippius_keeper_vms_pending", "VMs dealt and not on chain yet.", func() float64 { return float64(s.count().Pending) })
	s.observer.Gauge("hippius_keeper_vms_limit", "VMs of which shares are held at most.", func() float64 { return float64(limits.VMs) })
	s.observer.Gauge("hippius_keeper_followed_timestamp_seconds", "When the chain was last heard; 0 for not yet.",
		func() float64 { return float64(s.view.heard.Load()) })
	s.observer.Gauge("hippius_keeper_registered", "1 when the chain has the keeper as it is set, or it is registered otherwise.",
		func() float64 { return observe.Flag(s.registered.Load()) })
	s.observer.Counters("hippius_chain_calls_total", "Calls of the chain, by whether some node answered.", "result", observe.Answered(s.chain.Calls))
	return nil
}

func (s *sentinel) count() keeper.Counts {
	c, err := s.keeper.Counts()
	if err != nil {
		s.log.Error("count shares", "error", err)
	}
	return c
}

func (s *sentinel) listenObserver(ctx context.Context) (err error) {
	s.private, err = listen(ctx, s.set.Observe)
	if err == nil {
		s.log.Info("observer listens", "addr", s.private.Addr().String())
	}
	return err
}

func (s *sentinel) listenKeeper(ctx context.Context) (err error) {
	s.server = peer.NewServer(s.identity, peer.MaxMessage(maxDeal), peer.RatePerIdentity(callsPerSecond, callBurst), peer.WithLogger(s.log), peer.WithMetrics(s.observer.Peer()))
	keeperv1.RegisterKeeperServer(s.server, s.keeper)
	s.public, err = listen(ctx, s.set.Listen)
	if err == nil {
		s.log.Info("keeper listens", "addr", s.public.Addr().String())
	}
	return err
}

func (s *sentinel) serveKeeper(ctx context.Context) error {
	if err := s.server.Serve(s.public); err != nil {
		return err
	}
	<-ctx.Done() // stopKeeper ended it
	return nil
}

// stopKeeper lets calls under way finish: a share on its way to disk gets its receipt.
func (s *sentinel) stopKeeper(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s.server.Close(ctx)
	return nil
}

func listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// register makes the chain say what the settings say, until it does, and then waits for the end. A refusal is no
// reason to end: the shares held are needed as long as there is a VM of theirs.
func (s *sentinel) register(ctx context.Context) error {
	if s.set.Wallet == "" {
		s.registered.Store(true)
		<-ctx.Done()
		return nil
	}
	last := errors.New("not tried yet")
	known := make(chan error, 1)
	known <- last
	s.observer.Ready("registration", func() error {
		err := <-known
		known <- err
		return err
	})
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		last = s.registerOnce(ctx)
		<-known
		known <- last
		if last == nil {
			s.registered.Store(true)
			s.chain.WarnVersion(ctx, s.log)
			<-ctx.Done()
			return nil
		}
		if ctx.Err() == nil {
			s.log.Warn("register keeper", "error", last)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}
