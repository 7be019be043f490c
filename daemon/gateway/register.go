package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
)

const (
	// hostCertLife of the lighthouse's own certificate, made anew at each start.
	hostCertLife = 365 * 24 * time.Hour
	registerWait = 2 * time.Minute
	registerPoll = time.Second
)

// identity of the lighthouse in the mesh.
type identity struct{ authority, cert, key []byte }

// register makes the chain say what the settings say, trying until the chain answers, and gives the identity.
func (g *gateway) register(ctx context.Context) (identity, error) {
	ctx, cancel := context.WithTimeout(ctx, registerWait)
	defer cancel()
	for {
		id, err := g.registerOnce(ctx)
		if err == nil || !errors.Is(err, client.ErrUnavailable) {
			return id, err
		}
		g.log.Warn("register lighthouse", "error", err)
		select {
		case <-ctx.Done():
			return identity{}, fmt.Errorf("register lighthouse: %w", err)
		case <-time.After(registerPoll):
		}
	}
}

func (g *gateway) registerOnce(ctx context.Context) (identity, error) {
	seed, err := g.wallet.Seed(mesh.AuthorityLabel)
	if err != nil {
		return identity{}, fmt.Errorf("operator's wallet: %w", err)
	}
	sender := g.chain.NewSender(g.wallet)
	want := mesh.Lighthouse{Name: g.set.Name, Relay: g.set.Relay}
	for _, p := range g.set.Public {
		want.Endpoints = append(want.Endpoints, p.String())
	}
	mine, found, err := g.mine(ctx)
	if err != nil {
		return identity{}, err
	}
	now := time.Now()
	if !found {
		days := g.set.daysToPay(mine, now)
		if mine.Address, mine.ExpiresAt, err = sender.RegisterLighthouse(ctx, want, days); err != nil {
			return identity{}, fmt.Errorf("register lighthouse and pay %d days of rent: %w", days, err)
		}
	}
	authority, err := openAuthority(seed, mine.CACertificate, mine.Address, g.set.Name, now)
	if err != nil {
		return identity{}, err
	}
	want.CACertificate = authority.Certificate().Raw()
	if !same(mine, want) {
		if _, _, err := sender.RegisterLighthouse(ctx, want, 0); err != nil {
			return identity{}, fmt.Errorf("publish lighthouse: %w", err)
		}
	}
	g.published = want
	g.published.Address = mine.Address
	g.paidUntil.Store(mine.ExpiresAt)
	return issue(authority, mine.Address, g.set.Name, now)
}

// mine is what the chain has of this operator's lighthouse.
func (g *gateway) mine(ctx context.Context) (l mesh.Lighthouse, found bool, err error) {
	all, err := g.chain.Lighthouses(ctx)
	if err != nil {
		return l, false, err
	}
	i := slices.IndexFunc(all, func(l mesh.Lighthouse) bool { return l.Operator == g.wallet.Address() })
	if i < 0 {
		return l, false, nil
	}
	return all[i], true, nil
}

// openAuthority takes the authority on chain, or makes a new one if that is none of ours, unfit or old.
func openAuthority(seed, onChain []byte, addr netip.Addr, name string, now time.Time) (*ca.Authority, error) {
	if len(onChain) > 0 {
		a, err := ca.Open(seed, onChain)
		if err == nil {
			_, err = admit.Lighthouse(onChain, addr, now)
		}
		if err == nil && !a.NeedsRenewal(now) {
			return a, nil
		}
	}
	a, err := ca.NewLighthouse(seed, addr, name, now.Add(-ca.Backdate), now.Add(ca.DefaultLifetime))
	if err != nil {
		return nil, fmt.Errorf("make lighthouse CA: %w", err)
	}
	return a, nil
}

func same(on, want mesh.Lighthouse) bool {
	return on.Name == want.Name && on.Relay == want.Relay && bytes.Equal(on.CACertificate, want.CACertificate) &&
		slices.Equal(on.Endpoints, want.Endpoints)
}

func issue(a *ca.Authority, addr netip.Addr, name string, now time.Time) (identity, error) {
	public, private, err := cert.NewHostKey()
	if err != nil {
		return identity{}, err
	}
	issued, err := a.Issue(ca.Host{Name: name, Addr: addr, PublicKey: public, Validity: hostCertLife}, now)
	if err != nil {
		return identity{}, fmt.Errorf("lighthouse certificate: %w", err)
	}
	return identity{authority: a.Certificate().PEM(), cert: issued.PEM(), key: private}, nil
}
