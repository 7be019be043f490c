package guest

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/guest"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/nebula"
)

func TestMeshConfig(t *testing.T) {
	t.Parallel()
	now := time.Now()
	house, err := ca.NewLighthouse(make([]byte, ca.SeedSize), netip.MustParseAddr("100.127.0.1"), "house", now.Add(-time.Hour), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ca.NewTenant(make([]byte, ca.SeedSize), []netip.Prefix{netip.MustParsePrefix("100.64.0.0/26")}, "stranger", now.Add(-time.Hour), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	expired, err := ca.NewLighthouse(make([]byte, ca.SeedSize), netip.MustParseAddr("100.127.0.6"), "house", now.Add(-2*time.Hour), now.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	cfg := wire.Config{MeshCA: "ca", MeshCert: "cert", MeshKey: "key", MTU: 1300, Mesh: wire.Mesh{
		Blocklist: []string{"aa"},
		Lighthouses: []wire.Lighthouse{
			{Address: "100.127.0.1", Underlay: []string{"192.0.2.1:4242", "nonsense"}, CA: string(house.Certificate().PEM()), Relay: true},
			{Address: "100.127.0.3", Underlay: []string{"192.0.2.1:4242"}, CA: "nonsense"},
			{Address: "100.127.0.4", Underlay: []string{"192.0.2.1:4242"}, CA: string(house.Certificate().PEM())},
			{Address: "100.127.0.5", Underlay: []string{"192.0.2.1:4242"}, CA: string(stranger.Certificate().PEM())},
			{Address: "100.127.0.6", Underlay: []string{"192.0.2.1:4242"}, CA: string(expired.Certificate().PEM())},
			{Address: "nonsense", Underlay: []string{"192.0.2.1:4242"}},
			{Address: "100.127.0.2", Underlay: []string{"nonsense"}},
		},
	}}
	log := slog.New(slog.DiscardHandler)
	c, err := meshConfig(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	if c.Mode != nebula.ModeTun || c.TunName != guest.TunName || c.Listen.Port() != wire.MeshPort || !c.UseRelays || c.MTU != 1300 {
		t.Errorf("config %+v", c)
	}
	if len(c.Lighthouses) != 1 || len(c.Lighthouses[0].Underlay) != 1 || !c.Lighthouses[0].Relay {
		t.Errorf("lighthouses %+v", c.Lighthouses)
	}
	if len(c.Blocklist) != 1 {
		t.Errorf("blocklist %v", c.Blocklist)
	}
	if _, err := meshConfig(wire.Config{}, log); err == nil {
		t.Error("a seed without a certificate makes a config")
	}
}

func TestMainUsage(t *testing.T) {
	t.Parallel()
	if code := Main(nil, "1"); code != 2 {
		t.Errorf("without arguments: exit %d, want 2", code)
	}
	if code := Main([]string{"version"}, "1"); code != 0 {
		t.Errorf("version: exit %d", code)
	}
}
