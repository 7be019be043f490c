package miner

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	"github.com/hippius/compute/chain/client"
	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/mesh/admit"
)

const (
	// maxLighthouses a guest is told of.
	maxLighthouses = 8
	resolveTimeout = 3 * time.Second
)

// directory is what the chain says of the mesh: lighthouses for all, and for
// each tenant whose certificates are revoked.
type directory struct {
	chain *client.Client
	// open lets VMs reach the lighthouses' endpoints.
	open func(ends []netip.AddrPort) error
	log  *slog.Logger

	mu     sync.Mutex
	houses []wire.Lighthouse
	known  bool
}

// follow looks at the lighthouses until ctx ends.
func (d *directory) follow(ctx context.Context, every time.Duration) error {
	for {
		if err := d.refresh(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("look at lighthouses", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

func (d *directory) refresh(ctx context.Context) error {
	listed, err := d.chain.Lighthouses(ctx)
	if err != nil {
		return err
	}
	houses, ends := d.translate(ctx, listed)
	d.mu.Lock()
	same := d.known && slices.EqualFunc(houses, d.houses, sameHouse)
	d.mu.Unlock()
	if same {
		return nil
	}
	if err := d.open(ends); err != nil {
		return fmt.Errorf("open the way to the lighthouses: %w", err)
	}
	d.mu.Lock()
	d.houses, d.known = houses, true
	d.mu.Unlock()
	d.log.Info("lighthouses changed", "count", len(houses))
	return nil
}

func sameHouse(a, b wire.Lighthouse) bool {
	return a.Address == b.Address && a.CA == b.CA && a.Relay == b.Relay && slices.Equal(a.Underlay, b.Underlay)
}

// translate turns the chain's lighthouses into what guests take; what is unfit
// is left out, and judged by the guest again.
func (d *directory) translate(ctx context.Context, listed []*meshv1.Lighthouse) (houses []wire.Lighthouse, ends []netip.AddrPort) {
	for _, l := range listed {
		if len(l.GetCaCertificate()) == 0 || len(houses) == maxLighthouses {
			continue
		}
		addr, err := netip.ParseAddr(l.GetAddress())
		if err != nil {
			continue
		}
		ca, err := admit.Lighthouse(l.GetCaCertificate(), addr, time.Now())
		if err != nil {
			d.log.Warn("lighthouse's certificate", "lighthouse", l.GetName(), "error", err)
			continue
		}
		at := resolve(ctx, l.GetEndpoints())
		if len(at) == 0 {
			continue
		}
		h := wire.Lighthouse{Address: l.GetAddress(), CA: string(ca.PEM()), Relay: l.GetRelay()}
		for _, e := range at {
			h.Underlay = append(h.Underlay, e.String())
		}
		houses, ends = append(houses, h), append(ends, at...)
	}
	return houses, ends
}

// resolve gives the IPv4 endpoints that names stand for, in a settled order.
func resolve(ctx context.Context, endpoints []string) []netip.AddrPort {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	var out []netip.AddrPort
	for _, e := range endpoints {
		host, text, err := net.SplitHostPort(e)
		if err != nil {
			continue
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			continue
		}
		addrs := []netip.Addr{}
		if a, err := netip.ParseAddr(host); err == nil {
			addrs = append(addrs, a)
		} else if found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host); err == nil {
			addrs = found
		}
		for _, a := range addrs {
			if a = a.Unmap(); a.Is4() && !a.IsUnspecified() && !a.IsMulticast() {
				out = append(out, netip.AddrPortFrom(a, uint16(port)))
			}
		}
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return slices.Compact(out)
}

// View implements agent.Mesh.
func (d *directory) View(ctx context.Context, owner string) (wire.Mesh, error) {
	d.mu.Lock()
	known := d.known
	d.mu.Unlock()
	if !known {
		if err := d.refresh(ctx); err != nil {
			return wire.Mesh{}, err
		}
	}
	t, err := d.chain.Tenant(ctx, owner)
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		return wire.Mesh{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := wire.Mesh{Lighthouses: slices.Clone(d.houses)}
	for _, f := range t.GetRevoked() {
		m.Blocklist = append(m.Blocklist, hex.EncodeToString(f))
	}
	return m, nil
}
