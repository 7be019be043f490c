package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/nebula"
	"github.com/hippius/compute/mesh/nebula/netstack"
	"github.com/hippius/compute/tenant"
)

// lookEvery is how often a device that is in the mesh asks the chain for what
// changed: lighthouses, and revoked certificates.
const lookEvery = 10 * time.Second

// meshConfig is how this device joins the mesh by what the chain says now.
func (c *command) meshConfig(ctx context.Context, s *session, d tenant.Device) (nebula.Config, error) {
	lighthouses, err := s.lighthouses(ctx, d.Account, c.env.Now())
	if err != nil {
		return nebula.Config{}, err
	}
	of, err := s.chain.Tenant(ctx, d.Account)
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		return nebula.Config{}, err
	}
	return memberConfig(d, lighthouses, of), nil
}

// memberConfig allows outgoing connections only. The former host of a VM that was
// moved still has the identity of the earlier instance: the chain lists it as
// revoked, and the node refuses it.
func memberConfig(d tenant.Device, lighthouses []nebula.Lighthouse, of mesh.Tenant) nebula.Config {
	config := nebula.Config{
		Mode: nebula.ModeUserspace, Stack: netstack.New,
		CAs: [][]byte{[]byte(d.CA)}, Cert: []byte(d.Cert), Key: []byte(d.Key),
		Lighthouses: lighthouses, UseRelays: true, Firewall: nebula.AllowOut(),
	}
	for _, f := range of.Revoked {
		config.Blocklist = append(config.Blocklist, hex.EncodeToString(f))
	}
	return config
}

// lighthouses are those that the account's VMs keep to, too.
func (s *session) lighthouses(ctx context.Context, account string, now time.Time) ([]nebula.Lighthouse, error) {
	all, err := s.chain.Lighthouses(ctx)
	if err != nil {
		return nil, err
	}
	out := usable(all, account, now)
	if len(out) == 0 {
		return nil, errors.New("the network has no usable lighthouse, so this device cannot reach your VMs")
	}
	return out, nil
}

// usable are those of the account's lighthouses that can name nothing but themselves.
func usable(listed []mesh.Lighthouse, account string, now time.Time) []nebula.Lighthouse {
	all := make([]admit.Candidate, len(listed))
	for i, l := range listed {
		all[i] = admit.Candidate{Addr: l.Address, CA: l.CACertificate, Endpoints: l.Endpoints, Relay: l.Relay}
	}
	admitted, _ := admit.Lighthouses(all, now)
	out, _ := nebula.Lighthouses(admit.KeptTo(account, admitted))
	return out
}

// meshNode is what keeps a device in the mesh.
type meshNode interface {
	Reload(next nebula.Config) error
}

// member is a device in the mesh that follows what the chain says of it.
type member struct {
	*nebula.Node
	end  context.CancelFunc
	done sync.WaitGroup
}

func newMember(ctx context.Context, node *nebula.Node, now nebula.Config, look func(context.Context) (nebula.Config, error), log *slog.Logger) *member {
	ctx, end := context.WithCancel(ctx)
	m := &member{Node: node, end: end}
	m.done.Go(func() { follow(ctx, node, now, look, log) })
	return m
}

// Close implements device.Session.
func (m *member) Close() error {
	m.end()
	m.done.Wait()
	return m.Node.Close()
}

// follow reloads the node whenever what look gives has changed, until ctx ends.
// What cannot be looked up leaves all as it is.
func follow(ctx context.Context, node meshNode, now nebula.Config, look func(context.Context) (nebula.Config, error), log *slog.Logger) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		next, err := look(ctx)
		if err == nil && same(now, next) {
			continue
		}
		if err == nil {
			err = node.Reload(next)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Warn("follow the mesh", "error", fmt.Errorf("as it was before: %w", err))
		default:
			now = next
		}
	}
}

// same tells whether two configurations differ in nothing that the chain says.
func same(a, b nebula.Config) bool {
	return reflect.DeepEqual(a.Lighthouses, b.Lighthouses) && reflect.DeepEqual(a.Blocklist, b.Blocklist)
}
