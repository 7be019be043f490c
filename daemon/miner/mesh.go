package miner

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"sync"
	"time"

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

	mu          sync.Mutex
	lighthouses []admit.Admitted
	heard       bool // whether the chain was, so that lighthouses are all there are
	names       resolved
	allowed     allowlist
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
	lighthouses := d.validLighthouses(listed, now)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !reflect.DeepEqual(lighthouses, d.lighthouses) {
		d.log.Info("lighthouses changed", "lighthouses", len(lighthouses))
	}
	d.lighthouses, d.heard = lighthouses, true
	return d.allowed.tell(nil, now, d.open)
}

// validLighthouses are the lighthouses that can speak for their address alone; what
// is unfit is left out, and judged by the guest again.
func (d *directory) validLighthouses(listed []mesh.Lighthouse, now time.Time) []admit.Admitted {
	all := make([]admit.Candidate, len(listed))
	for i, l := range listed {
		all[i] = admit.Candidate{Addr: l.Address, CA: l.CACertificate, Endpoints: l.Endpoints, Relay: l.Relay}
	}
	out, refused := admit.Lighthouses(all, now)
	for _, err := range refused {
		if !errors.Is(err, admit.ErrIncomplete) {
			d.log.Warn("lighthouse is not used", "error", err)
		}
	}
	return out
}

// keptTo are the lighthouses of a tenant's network, and the way to them is open.
func (d *directory) keptTo(ctx context.Context, owner string) ([]wire.Lighthouse, error) {
	d.mu.Lock()
	chosen := admit.KeptTo(owner, d.lighthouses)
	d.mu.Unlock()
	var out []wire.Lighthouse
	var ends []netip.AddrPort
	for i, at := range d.names.of(ctx, chosen) {
		if len(at) == 0 {
			continue
		}
		c := chosen[i]
		h := wire.Lighthouse{Address: c.Addr.String(), CA: string(c.CA), Relay: c.Relay}
		for _, e := range at {
			h.Underlay = append(h.Underlay, e.String())
		}
		out, ends = append(out, h), append(ends, at...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.allowed.tell(ends, time.Now(), d.open); err != nil {
		return nil, err
	}
	return out, nil
}

// View implements agent.Mesh.
func (d *directory) View(ctx context.Context, owner string) (wire.Mesh, error) {
	d.mu.Lock()
	known := d.heard
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
	lighthouses, err := d.keptTo(ctx, owner)
	if err != nil {
		return wire.Mesh{}, fmt.Errorf("open the way to the lighthouses: %w", err)
	}
	m := wire.Mesh{Lighthouses: lighthouses}
	for _, f := range t.Revoked {
		m.Blocklist = append(m.Blocklist, hex.EncodeToString(f))
	}
	return m, nil
}
