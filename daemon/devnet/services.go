package devnet

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/daemon/gateway"
	"github.com/hippius/compute/daemon/sentinel"
	"github.com/hippius/compute/internal/peer"
	"github.com/hippius/compute/internal/sealbox"
)

// startFaucet sells credits for nothing, on loopback.
func (n *Net) startFaucet(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("faucet: %w", err)
	}
	p, err := n.chain.Prices(ctx) // this network never changes them
	if err != nil {
		return errors.Join(err, l.Close())
	}
	n.faucetHTTP = newFaucetServer(&faucet{
		buyer: n.chain.NewSender(n.faucet.wallet), price: p.Highest, log: n.set.Log.With("program", "faucet"),
	})
	go func() {
		if err := n.faucetHTTP.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.set.Log.Error("faucet", "error", err)
		}
	}()
	return n.writeProfile("http://" + l.Addr().String())
}

// unknownEndpoint stands in the genesis for that of a keeper that is not started yet.
const unknownEndpoint = "127.0.0.1:1"

func sentinelName(i int) string { return fmt.Sprintf("sentinel%d", i) }

// genesisKeeper makes the keys of a validator's sentinel. All keepers are in the first committee: one that registers later is in none
// for an epoch's time.
func (n *Net) genesisKeeper(i int, v *validator) (app.GenesisKeeper, error) {
	dir := n.path(sentinelName(i))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return app.GenesisKeeper{}, fmt.Errorf("folder of a sentinel: %w", err)
	}
	identity, err := peer.LoadOrCreateKey(filepath.Join(dir, sentinel.IdentityFile))
	if err != nil {
		return app.GenesisKeeper{}, err
	}
	sealing, err := sealbox.LoadOrCreateKey(filepath.Join(dir, sentinel.SealingFile))
	if err != nil {
		return app.GenesisKeeper{}, err
	}
	return app.GenesisKeeper{
		Operator: v.operator.address(), Identity: identity[ed25519.SeedSize:], HPKEKey: sealing.Public(), Endpoint: unknownEndpoint, Name: sentinelName(i),
	}, nil
}

// startSentinels starts one beside each validator and waits until all are keepers.
func (n *Net) startSentinels(ctx context.Context) error {
	for i, v := range n.validators {
		listen, err := n.ports.tcp(ctx, n.addr)
		if err != nil {
			return err
		}
		observe, err := n.ports.tcp(ctx, loopback())
		if err != nil {
			return err
		}
		c := sentinel.Default()
		c.Name = sentinelName(i)
		c.Network, c.Data, c.Wallet = n.Profile(), n.path(c.Name), v.operator.file
		c.Listen, c.Public, c.Observe = listen, listen.String(), observe
		path, err := n.writeSettings(c.Name, c)
		if err != nil {
			return err
		}
		err = n.launch(program{ //nolint:contextcheck // a program lives until Close
			name: c.Name, binary: "hippius-sentinel", args: []string{"--config", path},
			inside: func(ctx context.Context, log *slog.Logger) error { return sentinel.Run(ctx, c, log) },
		})
		if err != nil {
			return err
		}
	}
	return n.until(ctx, "keepers", func(ctx context.Context) error {
		c, err := n.chain.Committee(ctx)
		if err != nil {
			return err
		}
		here := len(c.Keepers)
		for _, k := range c.Keepers {
			if k.Endpoint == unknownEndpoint {
				here--
			}
		}
		if here < len(n.validators) {
			return fmt.Errorf("%d of %d are registered", here, len(n.validators))
		}
		return nil
	})
}

// startGateway starts the lighthouse and waits until it is on chain.
func (n *Net) startGateway(ctx context.Context) error {
	listen, err := n.ports.udp(ctx, n.addr)
	if err != nil {
		return err
	}
	observe, err := n.ports.tcp(ctx, loopback())
	if err != nil {
		return err
	}
	c := gateway.Default()
	c.Name, c.Network, c.Wallet = "gateway0", n.Profile(), n.gateway.file
	c.Listen, c.Public, c.Observe = listen, []netip.AddrPort{listen}, observe
	path, err := n.writeSettings(c.Name, c)
	if err != nil {
		return err
	}
	err = n.launch(program{ //nolint:contextcheck // a program lives until Close
		name: c.Name, binary: "hippius-gateway", args: []string{"--config", path},
		inside: func(ctx context.Context, log *slog.Logger) error { return gateway.Run(ctx, c, log) },
	})
	if err != nil {
		return err
	}
	return n.until(ctx, "lighthouse", func(ctx context.Context) error {
		all, err := n.chain.Lighthouses(ctx)
		if err != nil {
			return err
		}
		for _, l := range all {
			if len(l.CACertificate) > 0 {
				return nil
			}
		}
		return errors.New("not on chain yet")
	})
}

func loopback() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// freshMiners waits until every miner is registered and has been seen.
func (n *Net) freshMiners(ctx context.Context) error {
	return n.until(ctx, "miners", func(ctx context.Context) error {
		all, err := n.chain.Miners(ctx)
		if err != nil && !errors.Is(err, client.ErrNotFound) {
			return err
		}
		seen := 0
		for _, m := range all {
			if m.LastSeen > 0 {
				seen++
			}
		}
		if seen < len(n.miners) {
			return fmt.Errorf("%d of %d are registered and report", seen, len(n.miners))
		}
		return nil
	})
}
