package miner

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	"github.com/hippius/compute/chain/client"
	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/mesh/admit"
)

// directory is what the chain says of the mesh: for each tenant the lighthouses
// that its network keeps to, and whose certificates are revoked.
type directory struct {
	chain *client.Client
	// open lets VMs reach the lighthouses' endpoints, and no others in private networks.
	open func(ends []netip.AddrPort) error
	log  *slog.Logger

	mu     sync.Mutex
	houses map[uint32]house // by number; nil until the chain was heard
	names  resolved
	doors  doors
}

// house is a lighthouse on chain that can be believed.
type house struct {
	wire.Lighthouse
	endpoints []string
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
	now := time.Now()
	houses := d.believable(listed, now)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !maps.EqualFunc(houses, d.houses, sameHouse) {
		d.log.Info("lighthouses changed", "count", len(houses))
	}
	d.houses = houses
	return d.doors.tell(nil, now, d.open)
}

func sameHouse(a, b house) bool {
	return a.Address == b.Address && a.CA == b.CA && a.Relay == b.Relay && slices.Equal(a.endpoints, b.endpoints)
}

// believable are the lighthouses that can speak for their address alone; what
// is unfit is left out, and judged by the guest again.
func (d *directory) believable(listed []*meshv1.Lighthouse, now time.Time) map[uint32]house {
	out := map[uint32]house{}
	for _, l := range listed {
		if len(l.GetCaCertificate()) == 0 || len(l.GetEndpoints()) == 0 {
			continue
		}
		addr, err := netip.ParseAddr(l.GetAddress())
		if err != nil {
			continue
		}
		number, err := mesh.LighthouseNumber(addr)
		if err != nil {
			continue
		}
		ca, err := admit.Lighthouse(l.GetCaCertificate(), addr, now)
		if err != nil {
			d.log.Warn("lighthouse's certificate", "lighthouse", l.GetName(), "error", err)
			continue
		}
		out[number] = house{wire.Lighthouse{Address: l.GetAddress(), CA: string(ca.PEM()), Relay: l.GetRelay()}, l.GetEndpoints()}
	}
	return out
}

// keptTo are the lighthouses of a tenant's network, and the way to them is open.
func (d *directory) keptTo(ctx context.Context, owner string) ([]wire.Lighthouse, error) {
	d.mu.Lock()
	var chosen []house
	for _, n := range mesh.LighthousesFor(owner, slices.Collect(maps.Keys(d.houses))) {
		chosen = append(chosen, d.houses[n])
	}
	d.mu.Unlock()
	var out []wire.Lighthouse
	var ends []netip.AddrPort
	for i, at := range d.names.of(ctx, chosen) {
		if len(at) == 0 {
			continue
		}
		h := chosen[i].Lighthouse
		for _, e := range at {
			h.Underlay = append(h.Underlay, e.String())
		}
		out, ends = append(out, h), append(ends, at...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.doors.tell(ends, time.Now(), d.open); err != nil {
		return nil, err
	}
	return out, nil
}

// View implements agent.Mesh.
func (d *directory) View(ctx context.Context, owner string) (wire.Mesh, error) {
	d.mu.Lock()
	known := d.houses != nil
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
	houses, err := d.keptTo(ctx, owner)
	if err != nil {
		return wire.Mesh{}, fmt.Errorf("open the way to the lighthouses: %w", err)
	}
	m := wire.Mesh{Lighthouses: houses}
	for _, f := range t.GetRevoked() {
		m.Blocklist = append(m.Blocklist, hex.EncodeToString(f))
	}
	return m, nil
}
