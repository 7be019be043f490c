package miner

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	"github.com/hippius/compute/internal/config"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/vm"
)

// The sample says what the defaults are, all of them.
func TestSampleIsTheDefault(t *testing.T) {
	t.Parallel()
	got, err := config.Load("sample.yaml", Config{})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Network, want.Wallet, want.Public = got.Network, got.Wallet, got.Public
	if !reflect.DeepEqual(got, want) {
		t.Errorf("sample %+v\ndefault %+v", got, want)
	}
	text, err := os.ReadFile("sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var shown, all map[string]any
	if err := yaml.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	printed, err := yaml.Marshal(Default())
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(printed, &all); err != nil {
		t.Fatal(err)
	}
	missing(t, "", all, shown)
}

func missing(t *testing.T, at string, all, shown map[string]any) {
	t.Helper()
	for key, v := range all {
		s, ok := shown[key]
		if !ok {
			t.Errorf("the sample lacks %s%s", at, key)
			continue
		}
		if inner, ok := v.(map[string]any); ok {
			has, ok := s.(map[string]any)
			if !ok {
				t.Errorf("%s%s is no section in the sample", at, key)
				continue
			}
			missing(t, at+key+".", inner, has)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	sound := func() Config {
		c := Default()
		c.Network, c.Wallet, c.Public = "n", "w", "h:1"
		return c
	}
	c := sound()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"name":            func(c *Config) { c.Name = "" },
		"network":         func(c *Config) { c.Network = "" },
		"wallet":          func(c *Config) { c.Wallet = "" },
		"data":            func(c *Config) { c.Data = "relative" },
		"public":          func(c *Config) { c.Public = "host" },
		"public ":         func(c *Config) { c.Public = "host:0" },
		"driver":          func(c *Config) { c.Driver = "xen" },
		"agent":           func(c *Config) { c.Agent = "" },
		"max_gib":         func(c *Config) { c.Images.MaxGiB = 0 },
		"taps":            func(c *Config) { c.Taps.MTU = 100 },
		"connections":     func(c *Config) { c.Taps.Connections = 1 },
		"lighthouse_nets": func(c *Config) { c.Taps.LighthouseNets = []netip.Prefix{{}} },
		"poll":            func(c *Config) { c.Timing.Poll = 0 },
		"report_every":    func(c *Config) { c.Timing.ReportEvery = time.Minute },
		"proof_every":     func(c *Config) { c.Timing.ProofEvery = time.Hour },
		"listen":          func(c *Config) { c.Listen = netip.AddrPort{} },
	} {
		c := sound()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: %v, want an error that names it", name, err)
		}
	}
}

func TestFakeNetwork(t *testing.T) {
	t.Parallel()
	n := fakeNetwork{pool: netip.MustParsePrefix("10.90.0.0/16")}
	seen := map[netip.Addr]bool{}
	for _, id := range []vm.ID{"00000000000000000000000000000000", "00000001000000000000000000000000", "ffffffff000000000000000000000000"} {
		nic, err := n.Attach(t.Context(), agent.Port{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		if !n.pool.Contains(nic.Address.Addr()) || !nic.Address.Masked().Contains(nic.Gateway) || seen[nic.Gateway] {
			t.Errorf("%s gets %+v", id, nic)
		}
		seen[nic.Gateway] = true
		again, err := n.Attach(t.Context(), agent.Port{ID: id})
		if err != nil || !reflect.DeepEqual(again, nic) {
			t.Errorf("%s gets %+v, then %+v, %v", id, nic, again, err)
		}
	}
	if _, err := n.Attach(t.Context(), agent.Port{ID: "x"}); err == nil {
		t.Error("a bad id is attached")
	}
}

func TestLighthousesTranslated(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a, err := ca.NewLighthouse(random(ca.SeedSize), netip.MustParseAddr("100.127.0.1"), "house", now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	good := &meshv1.Lighthouse{
		Name: "good", Address: "100.127.0.1", CaCertificate: a.Certificate().Raw(), Relay: true,
		Endpoints: []string{"192.0.2.2:4242", "192.0.2.1:4242", "192.0.2.1:4242", "[::1]:4242", "192.0.2.3", "0.0.0.0:1", "192.0.2.4:0"},
	}
	d := &directory{log: slog.New(slog.DiscardHandler)}
	houses, ends := d.translate(context.Background(), []*meshv1.Lighthouse{
		{Name: "without a CA", Address: "100.127.0.2", Endpoints: good.GetEndpoints()},
		{Name: "broken CA", CaCertificate: []byte("x"), Endpoints: good.GetEndpoints()},
		{Name: "another's", Address: "100.127.0.2", CaCertificate: good.GetCaCertificate(), Endpoints: good.GetEndpoints()},
		{Name: "nowhere", Address: "100.127.0.1", CaCertificate: good.GetCaCertificate()},
		good,
	})
	if len(houses) != 1 || houses[0].Address != "100.127.0.1" || !houses[0].Relay || !strings.Contains(houses[0].CA, "BEGIN NEBULA") {
		t.Fatalf("houses %+v", houses)
	}
	want := []string{"192.0.2.1:4242", "192.0.2.2:4242"}
	if !slices.Equal(houses[0].Underlay, want) || len(ends) != 2 {
		t.Errorf("reached at %v, opened %v; want %v", houses[0].Underlay, ends, want)
	}
}

func TestDiskUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "full"), random(1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := diskUsed(dir)
	if err != nil || got < 1<<20 || got > 2<<20 {
		t.Errorf("%d bytes, %v; want a little over 1 MiB", got, err)
	}
}
