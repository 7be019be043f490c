package guest

import (
	"testing"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/guest"
	"github.com/hippius/compute/mesh/nebula"
)

func TestMeshConfig(t *testing.T) {
	t.Parallel()
	cfg := wire.Config{MeshCA: "ca", MeshCert: "cert", MeshKey: "key", MTU: 1300, Mesh: wire.Mesh{
		Blocklist: []string{"aa"},
		Lighthouses: []wire.Lighthouse{
			{Address: "100.127.0.1", Underlay: []string{"192.0.2.1:4242", "nonsense"}, CA: "house", Relay: true},
			{Address: "nonsense", Underlay: []string{"192.0.2.1:4242"}},
			{Address: "100.127.0.2", Underlay: []string{"nonsense"}},
		},
	}}
	c, err := meshConfig(cfg)
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
	if _, err := meshConfig(wire.Config{}); err == nil {
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
