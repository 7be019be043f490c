package miner

import (
	"errors"
	"fmt"
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

	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/config"
	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/miner/hostinfo"
	"github.com/hippius/compute/miner/provision"
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
		nic, err := n.Attach(t.Context(), provision.Port{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		if !n.pool.Contains(nic.Address.Addr()) || !nic.Address.Masked().Contains(nic.Gateway) || seen[nic.Gateway] {
			t.Errorf("%s gets %+v", id, nic)
		}
		seen[nic.Gateway] = true
		again, err := n.Attach(t.Context(), provision.Port{ID: id})
		if err != nil || !reflect.DeepEqual(again, nic) {
			t.Errorf("%s gets %+v, then %+v, %v", id, nic, again, err)
		}
	}
	if _, err := n.Attach(t.Context(), provision.Port{ID: "x"}); err == nil {
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
	good := mesh.Lighthouse{
		Name: "good", Address: netip.MustParseAddr("100.127.0.1"), CACertificate: a.Certificate().Raw(), Relay: true,
		Endpoints: []string{"192.0.2.2:4242", "192.0.2.1:4242", "192.0.2.1:4242", "[::1]:4242", "192.0.2.3", "0.0.0.0:1", "192.0.2.4:0"},
	}
	d := &directory{log: slog.New(slog.DiscardHandler)}
	var opened []netip.AddrPort
	d.open = func(ends []netip.AddrPort) error { opened = ends; return nil }
	d.lighthouses = d.validLighthouses([]mesh.Lighthouse{
		{Name: "without a CA", Address: netip.MustParseAddr("100.127.0.2"), Endpoints: good.Endpoints},
		{Name: "broken CA", Address: netip.MustParseAddr("100.127.0.3"), CACertificate: []byte("x"), Endpoints: good.Endpoints},
		{Name: "another's", Address: netip.MustParseAddr("100.127.0.2"), CACertificate: good.CACertificate, Endpoints: good.Endpoints},
		{Name: "nowhere", Address: netip.MustParseAddr("100.127.0.1"), CACertificate: good.CACertificate},
		{Name: "no lighthouse's address", Address: netip.MustParseAddr("100.64.0.1"), CACertificate: good.CACertificate, Endpoints: good.Endpoints},
		good,
	}, now)
	lighthouses, err := d.keptTo(t.Context(), "hip1tenant")
	if err != nil {
		t.Fatal(err)
	}
	if len(lighthouses) != 1 || lighthouses[0].Address != "100.127.0.1" || !lighthouses[0].Relay || !strings.Contains(lighthouses[0].CA, "BEGIN NEBULA") {
		t.Fatalf("lighthouses %+v", lighthouses)
	}
	want := []string{"192.0.2.1:4242", "192.0.2.2:4242"}
	if !slices.Equal(lighthouses[0].Underlay, want) || len(opened) != 2 {
		t.Errorf("reached at %v, opened %v; want %v", lighthouses[0].Underlay, opened, want)
	}
}

// Whoever took the first addresses is not all that a tenant is told of, and the
// way is open to what any tenant here was told of.
func TestLighthousesOfEachTenant(t *testing.T) {
	t.Parallel()
	d := &directory{log: slog.New(slog.DiscardHandler), heard: true}
	for n := range uint32(40) {
		addr, err := mesh.LighthouseAddr(n + 1)
		if err != nil {
			t.Fatal(err)
		}
		var at []string
		for i := range 8 { // more than is taken of one
			at = append(at, fmt.Sprintf("192.0.2.%d:%d", n+1, 4242+i))
		}
		d.lighthouses = append(d.lighthouses, admit.Admitted{Number: n + 1, Addr: addr, Endpoints: at})
	}
	var opened []netip.AddrPort
	d.open = func(ends []netip.AddrPort) error { opened = ends; return nil }
	told := map[string]bool{}
	for _, owner := range []string{"hip1one", "hip1two", "hip1three"} {
		lighthouses, err := d.keptTo(t.Context(), owner)
		if err != nil || len(lighthouses) != mesh.KeepTo {
			t.Fatalf("%s is told of %d, %v", owner, len(lighthouses), err)
		}
		first := 0
		for _, h := range lighthouses {
			addr := netip.MustParseAddr(h.Address)
			n, err := mesh.LighthouseNumber(addr)
			if err != nil {
				t.Fatal(err)
			}
			if n <= mesh.KeepTo {
				first++
			}
			if len(h.Underlay) != maxEndpoints {
				t.Errorf("%s is at %v", addr, h.Underlay)
			}
			for _, e := range h.Underlay {
				told[e] = true
			}
		}
		if first == mesh.KeepTo {
			t.Errorf("%s is told of the first %d", owner, first)
		}
	}
	if len(opened) != len(told) {
		t.Errorf("opened %d endpoints, told of %d", len(opened), len(told))
	}
	for _, e := range opened {
		if !told[e.String()] {
			t.Errorf("%s is open to VMs that know nothing of it", e)
		}
	}
}

// Doors stay open while anyone is told of what is behind them, over a restart
// too, and there are never more than the network takes.
func TestDoors(t *testing.T) {
	t.Parallel()
	var (
		opened []netip.AddrPort
		broken error
	)
	open := func(ends []netip.AddrPort) error {
		if broken == nil {
			opened = slices.Clone(ends)
		}
		return broken
	}
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 4242)
	}
	now := time.Now()
	var d allowlist
	d.begin([]netip.AddrPort{at(1)}, now)
	tell := func(ends ...netip.AddrPort) {
		t.Helper()
		if err := d.tell(ends, now, open); err != nil {
			t.Fatal(err)
		}
	}
	tell(at(2))
	if !slices.Equal(opened, []netip.AddrPort{at(1), at(2)}) {
		t.Fatalf("open are %v", opened)
	}
	now = now.Add(closeAfter - time.Second)
	tell(at(2))
	now = now.Add(2 * time.Second)
	tell()
	if !slices.Equal(opened, []netip.AddrPort{at(2)}) {
		t.Fatalf("open are %v, long after anyone was told of the first", opened)
	}
	now = now.Add(time.Second)
	var many []netip.AddrPort
	for i := range maxAllowed {
		many = append(many, at(1000+i))
	}
	tell(many...)
	if len(opened) != maxAllowed || slices.Contains(opened, at(2)) {
		t.Fatalf("%d are open", len(opened))
	}
	// What could not be opened is tried again.
	now, broken = now.Add(time.Second), errors.New("no")
	if err := d.tell([]netip.AddrPort{at(3)}, now, open); err == nil {
		t.Fatal("it failed unheard")
	}
	now, broken = now.Add(time.Second), nil
	tell()
	if !slices.Contains(opened, at(3)) {
		t.Error("it is never opened")
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
	got, err := hostinfo.Taken(dir)
	if err != nil || got < 1<<20 || got > 2<<20 {
		t.Errorf("%d bytes, %v; want a little over 1 MiB", got, err)
	}
}
