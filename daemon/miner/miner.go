package miner

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

	minerv1 "github.com/hippius/compute/api/node/miner/v1"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/guest/install"
	"github.com/hippius/compute/internal/observe"
	"github.com/hippius/compute/internal/peer"
	"github.com/hippius/compute/internal/run"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/console"
	"github.com/hippius/compute/miner/forget"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/network"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/record"
	"github.com/hippius/compute/miner/secrets"
	"github.com/hippius/compute/miner/seed"
)

const (
	// maxMessage of a tenant, in bytes; keystrokes need little.
	maxMessage = 64 << 10
	// Calls of one identity key.
	callsPerSecond, callBurst = 10, 30
)

// Run runs a miner until ctx ends. VMs run on after it.
func Run(ctx context.Context, c Config, log *slog.Logger) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	m, err := open(c, log)
	if err != nil {
		return err
	}
	return run.New(log,
		run.Service{Name: "chain", Stop: func(context.Context) error { return m.chain.Close() }},
		run.Service{Name: "state", Start: m.openState, Stop: func(context.Context) error { return m.db.Close() }},
		run.Service{Name: "observer", Start: m.listenObserver, Run: func(ctx context.Context) error { return m.observer.Serve(ctx, m.private) }},
		run.Service{Name: "network", Start: m.openNetwork, Run: m.guardNetwork},
		run.Service{Name: "driver", Start: m.openDriver, Stop: func(context.Context) error { return m.driver.Close() }},
		run.Service{Name: "images", Start: m.openImages, Stop: func(context.Context) error { m.images.Close(); return nil }},
		run.Service{Name: "lighthouses", Run: func(ctx context.Context) error { return m.directory.follow(ctx, c.Timing.MeshEvery) }},
		run.Service{Name: "registration", Run: m.register},
		run.Service{Name: "agent", Start: m.openAgent, Run: func(ctx context.Context) error { return m.agent.Run(ctx) }},
		run.Service{Name: "consoles", Start: m.listenTenants, Run: m.serveTenants, Stop: m.stopTenants},
	).Run(ctx)
}

type miner struct {
	set      Config
	log      *slog.Logger
	identity ed25519.PrivateKey
	chain    *client.Client
	sender   *client.Sender
	observer *observe.Observer

	db         *store.DB
	driver     hypervisor.Driver
	network    provision.Network
	taps       *network.Network // nil with a fake one
	directory  *directory
	images     *image.Cache
	agent      *agent.Agent
	server     *peer.Server
	private    net.Listener
	public     net.Listener
	registered atomic.Pointer[error]
	offer      atomic.Pointer[node.Capacity] // as it stands on chain; nil before
	status     atomic.Int32                  // node.MinerStatus, as it was last heard
}

// open reads what is on disk; the identity is made here at the first start.
func open(c Config, log *slog.Logger) (*miner, error) {
	profile, err := client.LoadNetwork(c.Network)
	if err != nil {
		return nil, err
	}
	w, err := wallet.LoadPlain(c.Wallet)
	if err != nil {
		return nil, fmt.Errorf("operator's wallet: %w", err)
	}
	// QEMU's user passes through to its disks, and may not list.
	if err := os.MkdirAll(c.Data, 0o711); err != nil { //nolint:gosec // as said
		return nil, fmt.Errorf("data folder: %w", err)
	}
	identity, err := peer.LoadOrCreateKey(filepath.Join(c.Data, IdentityFile))
	if err != nil {
		return nil, err
	}
	if err := prepareRun(c.Run, c.Driver == Libvirt, log); err != nil {
		return nil, err
	}
	conn, err := client.New(client.Config{Network: profile, Key: identity})
	if err != nil {
		return nil, err
	}
	return &miner{
		set: c, log: log, identity: identity, chain: conn, sender: conn.NewSender(w),
		observer: observe.New("hippius-miner", c.Version), directory: &directory{chain: conn, log: log},
	}, nil
}

func (m *miner) openState(context.Context) (err error) {
	m.db, err = store.Open(filepath.Join(m.set.Data, StateFile), record.Migrations(client.DecodeStoredVM)...)
	return err
}

func (m *miner) openImages(context.Context) (err error) {
	m.images, err = image.New(image.Config{
		Dir: filepath.Join(m.set.Data, imagesDir), MaxBytes: m.set.Images.MaxGiB * gib, AllowFile: m.set.Images.AllowFile, Log: m.log,
	})
	return err
}

func (m *miner) openAgent(context.Context) error {
	seeds := seed.Config{
		Dir: filepath.Join(m.set.Run, "seeds"), Group: -1, AnyFilesystem: m.set.Driver == Fake,
		Prepare: func() error { return prepareRun(m.set.Run, m.set.Driver == Libvirt, m.log) },
	}
	iso := ""
	if m.set.Driver == Libvirt {
		group, err := groupOf(m.set.Libvirt.User)
		if err != nil {
			return err
		}
		seeds.Group = group
		if iso, err = seed.AgentISO(filepath.Join(m.set.Data, isoDir), m.set.Agent, install.Script()); err != nil {
			return err
		}
	}
	store, err := seed.NewStore(seeds)
	if err != nil {
		return err
	}
	t := m.set.Timing
	m.agent, err = agent.New(agent.Config{
		ChainID: m.chain.ChainID(), Miner: m.sender.Address(), AgentISO: iso,
		Poll: t.Poll, ReportEvery: t.ReportEvery, ProofEvery: t.ProofEvery, BootTimeout: t.BootTimeout,
		StopTimeout: t.StopTimeout, GiveUp: t.GiveUp, MeshEvery: t.MeshEvery, Offer: m.offered,
	}, agent.Parts{
		Chain: Chain{Client: m.chain, Sender: m.sender}, Catalogue: m.chain,
		Secrets: secrets.New(secrets.Config{ChainID: m.chain.ChainID(), Chain: m.chain, Dial: secrets.NewPeers(m.identity), Log: m.log}),
		Images:  m.images, Network: m.network, Seeds: store, Mesh: m.directory, Driver: m.driver,
		State: record.New(m.db), Orders: forget.New(filepath.Join(m.set.Data, ForgetDir)), Log: m.log,
	})
	if err != nil {
		return err
	}
	m.observer.Ready("chain", m.agent.Ready)
	m.observer.Ready("registration", m.isRegistered)
	m.metrics()
	return nil
}

func (m *miner) listenObserver(ctx context.Context) (err error) {
	m.private, err = listen(ctx, m.set.Observe)
	if err == nil {
		m.log.Info("observer listens", "addr", m.private.Addr().String())
	}
	return err
}

func (m *miner) listenTenants(ctx context.Context) (err error) {
	identity, ok := m.identity.Public().(ed25519.PublicKey)
	if !ok {
		return errors.New("the identity key is not Ed25519")
	}
	m.server = peer.NewServer(m.identity, peer.MaxMessage(maxMessage), peer.RatePerIdentity(callsPerSecond, callBurst), peer.WithLogger(m.log), peer.WithMetrics(m.observer.Peer()))
	minerv1.RegisterMinerServer(m.server, console.New(console.Config{
		ChainID: m.chain.ChainID(), Identity: identity, Driver: m.driver, Owner: m.agent.Owner, Log: m.log,
	}))
	m.public, err = listen(ctx, m.set.Listen)
	if err == nil {
		m.log.Info("consoles listen", "addr", m.public.Addr().String())
	}
	return err
}

func (m *miner) serveTenants(ctx context.Context) error {
	if err := m.server.Serve(m.public); err != nil {
		return err
	}
	<-ctx.Done() // stopTenants ended it
	return nil
}

// stopTenants cuts consoles off: they last for as long as their users like.
func (m *miner) stopTenants(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	m.server.Close(ctx)
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
