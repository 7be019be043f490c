// Package guest assembles hippius-guest: the agent with the mesh.
package guest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/guest"
	"github.com/hippius/compute/internal/run"
	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/nebula"
)

// Main is the program's: `run` works until SIGINT or SIGTERM, `version` tells
// the version. It returns the exit code.
func Main(args []string, version string) int {
	if len(args) == 1 && args[0] == "version" {
		_, _ = fmt.Fprintln(os.Stdout, version)
		return 0
	}
	if len(args) != 1 || args[0] != "run" {
		_, _ = fmt.Fprintln(os.Stderr, "usage: hippius-guest run | version")
		return 2
	}
	ctx, stop := run.Signals(context.Background())
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := Run(ctx, "/", version, log); err != nil {
		log.Error("hippius-guest", "error", err)
		return 1
	}
	return 0
}

// Run is the agent of the VM under root until ctx ends.
func Run(ctx context.Context, root, version string, log *slog.Logger) error {
	return guest.New(guest.Config{
		System: &guest.System{Root: root}, Version: version, Log: log,
		Join: func(ctx context.Context, cfg wire.Config) (guest.Member, error) { return join(ctx, cfg, log) },
	}).Run(ctx)
}

// member is the guest in the mesh.
type member struct {
	node *nebula.Node
	cfg  wire.Config
	log  *slog.Logger
}

func join(ctx context.Context, cfg wire.Config, log *slog.Logger) (guest.Member, error) {
	c, err := meshConfig(cfg, log)
	if err != nil {
		return nil, err
	}
	node, err := nebula.Start(ctx, c, log)
	if err != nil {
		return nil, err
	}
	return &member{node: node, cfg: cfg, log: log}, nil
}

// Update implements guest.Member.
func (m *member) Update(next wire.Mesh) error {
	cfg := m.cfg
	cfg.Mesh = next
	c, err := meshConfig(cfg, m.log)
	if err != nil {
		return err
	}
	if err := m.node.Reload(c); err != nil {
		return err
	}
	m.cfg = cfg
	return nil
}

// Done implements guest.Member.
func (m *member) Done() <-chan struct{} { return m.node.Done() }

// Close implements guest.Member.
func (m *member) Close() error { return m.node.Close() }

// meshConfig is the node's configuration from the seed's. A lighthouse that
// makes no sense, or could name others' addresses, is left out: the others
// still serve.
func meshConfig(cfg wire.Config, log *slog.Logger) (nebula.Config, error) {
	if cfg.MeshCert == "" {
		return nebula.Config{}, errors.New("the seed has no mesh certificate")
	}
	c := nebula.Config{
		Mode: nebula.ModeTun, TunName: guest.TunName, MTU: cfg.MTU,
		CAs: [][]byte{[]byte(cfg.MeshCA)}, Cert: []byte(cfg.MeshCert), Key: []byte(cfg.MeshKey),
		UseRelays: true, Blocklist: cfg.Mesh.Blocklist, Firewall: nebula.AllowAll(),
		// The one port that neighbours' taps let through.
		Listen: netip.AddrPortFrom(netip.IPv4Unspecified(), wire.MeshPort),
	}
	all := make([]admit.Candidate, len(cfg.Mesh.Lighthouses))
	for i, l := range cfg.Mesh.Lighthouses {
		addr, _ := netip.ParseAddr(l.Address) // refused if it is none
		all[i] = admit.Candidate{Addr: addr, CA: []byte(l.CA), Endpoints: l.Underlay, Relay: l.Relay}
	}
	admitted, refused := admit.Lighthouses(all, time.Now())
	usable, unusable := nebula.Lighthouses(admitted)
	for _, err := range append(refused, unusable...) {
		log.Warn("lighthouse is not used", "error", err)
	}
	c.Lighthouses = usable
	return c, nil
}
