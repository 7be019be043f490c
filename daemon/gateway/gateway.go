package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/gateway/lighthouse"
	"github.com/hippius/compute/internal/observe"
	"github.com/hippius/compute/internal/run"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
)

// Run runs a gateway until ctx ends.
func Run(ctx context.Context, c Config, log *slog.Logger) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	network, err := client.LoadNetwork(c.Network)
	if err != nil {
		return err
	}
	w, err := wallet.LoadPlain(c.Wallet)
	if err != nil {
		return fmt.Errorf("operator's wallet: %w", err)
	}
	chain, err := client.New(client.Config{Network: network})
	if err != nil {
		return err
	}
	g := &gateway{set: c, chain: chain, wallet: w, log: log, observer: observe.New("hippius-gateway", c.Version)}
	return run.New(log,
		run.Service{Name: "chain", Stop: func(context.Context) error { return chain.Close() }},
		run.Service{Name: "observer", Start: g.listenObserver, Run: g.serveObserver},
		run.Service{Name: "lighthouse", Start: g.startLighthouse, Stop: g.stopLighthouse},
		run.Service{Name: "tenants", Run: g.followTenants},
		run.Service{Name: "rent", Run: g.payRent},
	).Run(ctx)
}

type gateway struct {
	set      Config
	chain    *client.Client
	wallet   *wallet.Wallet
	log      *slog.Logger
	observer *observe.Observer
	listener net.Listener
	node     *trustingNode
	stop     func() error
	follower *lighthouse.Follower
	// published is the lighthouse as this gateway has it on chain, and paidUntil the end of its rent, unix seconds.
	published mesh.Lighthouse
	paidUntil atomic.Int64
}

func (g *gateway) listenObserver(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", g.set.Observe.String())
	if err != nil {
		return fmt.Errorf("listen for the observer: %w", err)
	}
	g.listener = l
	g.log.Info("observer listens", "addr", l.Addr().String())
	return nil
}

func (g *gateway) serveObserver(ctx context.Context) error { return g.observer.Serve(ctx, g.listener) }

// startLighthouse has the lighthouse registered, then runs it without any tenant yet.
func (g *gateway) startLighthouse(ctx context.Context) error {
	id, err := g.register(ctx)
	if err != nil {
		return err
	}
	g.chain.WarnVersion(ctx, g.log)
	config := nebula.Config{
		Mode: nebula.ModeNone, SelfCA: id.authority, Cert: id.cert, Key: id.key,
		AmLighthouse: true, AmRelay: g.set.Relay, Listen: g.set.Listen,
	}
	node, err := nebula.Start(context.WithoutCancel(ctx), config, g.log)
	if err != nil {
		return fmt.Errorf("start lighthouse: %w", err)
	}
	g.node, g.stop = &trustingNode{node: node, config: config}, node.Close
	g.follower = lighthouse.New(directory{g.chain}, admitTenant, g.node, g.set.FollowEvery, g.log)
	g.observer.Ready("tenants", func() error {
		if !g.follower.Synced() {
			return errors.New("not in step with the chain yet")
		}
		return nil
	})
	g.observer.Gauge("hippius_lighthouse_tenants", "Tenants whose CA is trusted.", func() float64 {
		trusted, _ := g.follower.Counts()
		return float64(trusted)
	})
	g.observer.Gauge("hippius_lighthouse_tenants_refused", "Tenants whose CA was refused.", func() float64 {
		_, refused := g.follower.Counts()
		return float64(refused)
	})
	g.observer.Gauge("hippius_lighthouse_rent_paid_until_timestamp_seconds", "Until when the lighthouse's rent is paid; it is renewed before.",
		func() float64 { return float64(g.paidUntil.Load()) })
	g.observer.Gauge("hippius_lighthouse_tunnels", "Hosts with a tunnel to the lighthouse.", func() float64 { return float64(len(node.Peers())) })
	g.observer.Gauge("hippius_lighthouse_followed_timestamp_seconds", "When the tenants on chain were last heard of; 0 for not yet.",
		func() float64 { return observe.Timestamp(g.follower.Heard()) })
	g.observer.Counters("hippius_chain_calls_total", "Calls of the chain, by whether some node answered.", "result", observe.Answered(g.chain.Calls))
	g.log.Info("lighthouse is up", "addr", node.Addr().String(), "port", node.ListenPort(),
		"paid_until", time.Unix(g.paidUntil.Load(), 0).UTC())
	return nil
}

func (g *gateway) stopLighthouse(context.Context) error { return g.stop() }

func (g *gateway) followTenants(ctx context.Context) error { return g.follower.Run(ctx) }

// trustingNode lets the follower change whom the lighthouse trusts.
type trustingNode struct {
	node interface {
		Reload(next nebula.Config) error
	}
	config nebula.Config
}

// Trust reloads the node in place.
func (n *trustingNode) Trust(all []lighthouse.Trusted) error {
	c := n.config
	c.CAs, c.Revoked = make([][]byte, 0, len(all)), map[string][][]byte{}
	for _, t := range all {
		c.CAs = append(c.CAs, t.CA)
		if len(t.Revoked) == 0 {
			continue
		}
		authority, err := cert.Parse(t.CA)
		if err != nil {
			return err // it was admitted
		}
		c.Revoked[authority.Fingerprint()] = t.Revoked
	}
	return n.node.Reload(c)
}

func admitTenant(ca []byte, networks []netip.Prefix) error {
	_, err := admit.Tenant(ca, admit.Allocation{Networks: networks}, time.Now())
	return err
}

// directory is the chain's list of tenants in the follower's words.
type directory struct{ chain *client.Client }

// Tenants changed after a height.
func (d directory) Tenants(ctx context.Context, after int64) ([]mesh.Tenant, int64, error) {
	changes, err := d.chain.Tenants(ctx, after)
	return changes.Tenants, changes.Height, err
}

// Newest block's time.
func (d directory) Newest(ctx context.Context) (time.Time, error) {
	head, err := d.chain.Head(ctx)
	return time.Unix(head.Time, 0), err
}
