package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/gateway/lighthouse"
	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
)

func TestConfigSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := func() Config {
		c := Default()
		c.Network, c.Wallet = "network.json", "wallet.json"
		c.Public = []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:4242")}
		return c
	}
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"good":                {change: func(*Config) {}},
		"no network":          {change: func(c *Config) { c.Network = "" }, says: "network: give"},
		"no wallet":           {change: func(c *Config) { c.Wallet = "" }, says: "wallet: give"},
		"no listen":           {change: func(c *Config) { c.Listen = netip.AddrPort{} }, says: "listen: give"},
		"no observer":         {change: func(c *Config) { c.Observe = netip.AddrPort{} }, says: "observe: give"},
		"no public":           {change: func(c *Config) { c.Public = nil }, says: "public: give 1 to 8"},
		"too many public":     {change: func(c *Config) { c.Public = make([]netip.AddrPort, 9) }, says: "public: give 1 to 8"},
		"an unreachable one":  {change: func(c *Config) { c.Public[0] = netip.MustParseAddrPort("0.0.0.0:4242") }, says: "public[0] 0.0.0.0:4242"},
		"one without a port":  {change: func(c *Config) { c.Public[0] = netip.MustParseAddrPort("198.51.100.1:0") }, says: "public[0]"},
		"asks too often":      {change: func(c *Config) { c.FollowEvery = time.Millisecond }, says: "accepted are 50ms to 2s"},
		"asks too seldom":     {change: func(c *Config) { c.FollowEvery = time.Minute }, says: "accepted are 50ms to 2s"},
		"pays too little":     {change: func(c *Config) { c.RentDays = 1 }, says: "accepted are 2 to 366"},
		"pays too much":       {change: func(c *Config) { c.RentDays = 367 }, says: "accepted are 2 to 366"},
		"renews too late":     {change: func(c *Config) { c.RenewDays = 0 }, says: "accepted are 1 to 29"},
		"renews always":       {change: func(c *Config) { c.RenewDays = 30 }, says: "accepted are 1 to 29"},
		"the bounds are good": {change: func(c *Config) { c.FollowEvery = 2 * time.Second }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := good()
			c.change(&set)
			switch err := set.Validate(); {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("said %v, want %q", err, c.says)
			}
		})
	}
}

// A restarted gateway keeps the authority that members already trust, and makes another only when it must.
func TestAuthorityIsKept(t *testing.T) {
	t.Parallel()
	now := time.Now()
	addr, other := netip.MustParseAddr("100.127.255.1"), netip.MustParseAddr("100.127.255.2")
	seed, stranger := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	make1 := func(seed []byte, addr netip.Addr, from, to time.Time) []byte {
		t.Helper()
		a, err := ca.NewLighthouse(seed, addr, "gw", from, to)
		if err != nil {
			t.Fatal(err)
		}
		return a.Certificate().Raw()
	}
	for name, c := range map[string]struct {
		onChain []byte
		kept    bool
	}{
		"good":                {onChain: make1(seed, addr, now.Add(-time.Hour), now.Add(ca.DefaultLifetime)), kept: true},
		"none yet":            {},
		"another's key":       {onChain: make1(stranger, addr, now.Add(-time.Hour), now.Add(ca.DefaultLifetime))},
		"another's address":   {onChain: make1(seed, other, now.Add(-time.Hour), now.Add(ca.DefaultLifetime))},
		"to be renewed":       {onChain: make1(seed, addr, now.Add(-time.Hour), now.Add(ca.RenewBefore-time.Hour))},
		"over":                {onChain: make1(seed, addr, now.Add(-2*time.Hour), now.Add(-time.Hour))},
		"not one certificate": {onChain: []byte("not a certificate")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := openAuthority(seed, c.onChain, addr, "gw", now)
			if err != nil {
				t.Fatal(err)
			}
			raw := a.Certificate().Raw()
			if kept := bytes.Equal(raw, c.onChain); kept != c.kept {
				t.Errorf("kept is %v, want %v", kept, c.kept)
			}
			if _, err := admit.Lighthouse(raw, addr, now); err != nil {
				t.Errorf("members would refuse it: %v", err)
			}
			id, err := issue(a, addr, "gw", now)
			if err != nil {
				t.Fatal(err)
			}
			node, err := nebula.Start(t.Context(), nebula.Config{
				Mode: nebula.ModeNone, SelfCA: id.authority, Cert: id.cert, Key: id.key,
				AmLighthouse: true, Listen: netip.MustParseAddrPort("127.0.0.1:0"),
			}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatalf("the lighthouse does not start with it: %v", err)
			}
			defer node.Close() //nolint:errcheck // it only ends
			if node.Addr() != addr {
				t.Errorf("stands at %s, want %s", node.Addr(), addr)
			}
		})
	}
}

func TestSameSeesEveryDifference(t *testing.T) {
	t.Parallel()
	on := mesh.Lighthouse{Name: "gw", Relay: true, CACertificate: []byte{1}, Endpoints: []string{"198.51.100.1:4242"}}
	want := func() mesh.Lighthouse {
		return mesh.Lighthouse{Name: "gw", Relay: true, CACertificate: []byte{1}, Endpoints: []string{"198.51.100.1:4242"}}
	}
	if !same(on, want()) {
		t.Error("the same is sent again")
	}
	for name, change := range map[string]func(*mesh.Lighthouse){
		"name":      func(m *mesh.Lighthouse) { m.Name = "gw2" },
		"relay":     func(m *mesh.Lighthouse) { m.Relay = false },
		"authority": func(m *mesh.Lighthouse) { m.CACertificate = []byte{2} },
		"endpoints": func(m *mesh.Lighthouse) { m.Endpoints = append(m.Endpoints, "[2001:db8::1]:4242") },
	} {
		m := want()
		change(&m)
		if same(on, m) {
			t.Errorf("another %s is not seen", name)
		}
	}
}

// What a lighthouse trusts comes from strangers by way of the chain.
func TestTenantAuthorityIsChecked(t *testing.T) {
	t.Parallel()
	now := time.Now()
	block, foreign := netip.MustParsePrefix("100.64.0.0/26"), netip.MustParsePrefix("100.64.0.64/26")
	a, err := ca.NewTenant(bytes.Repeat([]byte{3}, 32), []netip.Prefix{block}, "t", now.Add(-time.Hour), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := admitTenant(a.Certificate().Raw(), []netip.Prefix{block}); err != nil {
		t.Error(err)
	}
	if admitTenant(a.Certificate().Raw(), []netip.Prefix{foreign}) == nil {
		t.Error("an authority over another tenant's block is trusted")
	}
	if admitTenant([]byte("x"), []netip.Prefix{block}) == nil {
		t.Error("what is no certificate is trusted")
	}
}

// What a tenant revokes counts against what its own authority signed and nothing else.
func TestTrustKeepsRevocationsApart(t *testing.T) {
	t.Parallel()
	now := time.Now()
	tenant := func(n byte, network string) *ca.Authority {
		a, err := ca.NewTenant(bytes.Repeat([]byte{n}, ca.SeedSize), []netip.Prefix{netip.MustParsePrefix(network)}, "tenant", now.Add(-time.Hour), now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	alice, bob := tenant(1, "100.64.0.0/26"), tenant(2, "100.64.0.64/26")
	op, err := ca.NewLighthouse(bytes.Repeat([]byte{3}, ca.SeedSize), netip.MustParseAddr("100.127.0.1"), "gw", now.Add(-time.Hour), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := cert.NewHostKey()
	if err != nil {
		t.Fatal(err)
	}
	own, err := op.Issue(ca.Host{
		Name: "gw", Groups: []string{admit.LighthouseGroup}, Addr: netip.MustParseAddr("100.127.0.1"), PublicKey: public, Validity: time.Minute,
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	config := nebula.Config{
		Mode: nebula.ModeNone, SelfCA: op.Certificate().Raw(), Cert: own.Raw(), Key: private,
		AmLighthouse: true, Listen: netip.MustParseAddrPort("127.0.0.1:0"),
	}
	node := &recorder{}
	gave, took := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32)
	err = (&trustingNode{node: node, config: config}).Trust([]lighthouse.Trusted{
		{CA: alice.Certificate().Raw(), Revoked: [][]byte{gave}}, {CA: bob.Certificate().Raw(), Revoked: [][]byte{took}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := node.last
	want := map[string][][]byte{alice.Certificate().Fingerprint(): {gave}, bob.Certificate().Fingerprint(): {took}}
	if len(c.CAs) != 2 || len(c.Blocklist) != 0 || !reflect.DeepEqual(c.Revoked, want) {
		t.Errorf("trusts %d authorities, blocks %v, revoked %x", len(c.CAs), c.Blocklist, c.Revoked)
	}
	// The node takes it.
	running, err := nebula.Start(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := running.Close(); err != nil {
		t.Error(err)
	}
}

// recorder is a node that remembers its last settings.
type recorder struct{ last nebula.Config }

func (r *recorder) Reload(c nebula.Config) error {
	r.last = c
	return nil
}

// list is a directory of tenants that does not change.
type list []mesh.Tenant

func (l list) Newest(context.Context) (time.Time, error) { return time.Now(), nil }

func (l list) Tenants(context.Context, int64) ([]mesh.Tenant, int64, error) { return l, 1, nil }

// Tenants register what they please. One after the other is left out; the honest one is trusted all the same, and
// what the others would have signed for is nobody's.
func TestHostileTenantsAreLeftOut(t *testing.T) {
	t.Parallel()
	now := time.Now()
	block := func(n byte) []netip.Prefix {
		return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, n * 64}), 26)}
	}
	sign := func(n byte, edit func(*cert.Template)) []byte {
		c := cert.Template{
			Name: "tenant", Networks: block(n), UnsafeNetworks: block(n), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		}
		edit(&c)
		a, err := cert.SignAuthority(c, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)))
		if err != nil {
			t.Fatal(err)
		}
		return a.Raw()
	}
	file := func(name string) []byte {
		b, err := os.ReadFile("../../mesh/admit/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	honest := sign(1, func(*cert.Template) {})
	all := list{
		{Owner: "honest", Networks: block(1), CACertificate: honest},
		{Owner: "unconstrained", Networks: block(2), CACertificate: sign(2, func(c *cert.Template) { c.Networks = nil })},
		{Owner: "all of the mesh", Networks: block(2), CACertificate: sign(2, func(c *cert.Template) { c.Networks = []netip.Prefix{admit.Space4()} })},
		{Owner: "the neighbour's too", Networks: block(2), CACertificate: sign(2, func(c *cert.Template) { c.Networks = append(block(1), block(2)...) })},
		{Owner: "the neighbour's", Networks: block(2), CACertificate: honest},
		{Owner: "the lighthouses'", Networks: block(2), CACertificate: sign(2, func(c *cert.Template) { c.Networks = []netip.Prefix{mesh.LighthouseNetwork()} })},
		{Owner: "forwards for all", Networks: block(2), CACertificate: sign(2, func(c *cert.Template) { c.UnsafeNetworks = nil })},
		{Owner: "as a lighthouse", Networks: block(2), CACertificate: sign(2, func(c *cert.Template) { c.Groups = []string{admit.LighthouseGroup} })},
		{Owner: "expired", Networks: block(2), CACertificate: sign(2, func(c *cert.Template) { c.NotAfter = now.Add(-time.Minute) })},
		{Owner: "to come", Networks: block(2), CACertificate: sign(2, func(c *cert.Template) { c.NotBefore = now.Add(time.Minute) })},
		{Owner: "another curve", Networks: []netip.Prefix{netip.MustParsePrefix("100.64.1.64/26")}, CACertificate: file("p256.pem")},
		{Owner: "an old version", Networks: []netip.Prefix{netip.MustParsePrefix("100.64.1.64/26")}, CACertificate: file("version1.pem")},
		{Owner: "no certificate", Networks: block(2), CACertificate: []byte("rubbish")},
		{Owner: "a mebibyte", Networks: block(2), CACertificate: make([]byte, 1<<20)},
	}
	node := &recorder{}
	f := lighthouse.New(all, admitTenant, &trustingNode{node: node}, time.Second, slog.New(slog.DiscardHandler))
	if err := f.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cas := node.last.CAs; len(cas) != 1 || !bytes.Equal(cas[0], honest) {
		t.Errorf("trusts %d authorities; want the honest one's", len(cas))
	}
	if trusted, refused := f.Counts(); trusted != 1 || int(refused) != len(all)-1 {
		t.Errorf("counts %d trusted and %d refused of %d", trusted, refused, len(all))
	}
}

// The rent is paid anew some days before its end, for as many days as the settings say.
func TestRentIsRenewed(t *testing.T) {
	t.Parallel()
	c := Default()
	now := time.Unix(1_800_000_000, 0)
	for left, want := range map[time.Duration]uint32{
		-time.Hour: 30, 0: 30, time.Second: 29, day: 29, day + time.Second: 28, 10*day - time.Second: 20, 10 * day: 0, 30 * day: 0,
	} {
		if got := c.daysToPay(mesh.Lighthouse{ExpiresAt: now.Add(left).Unix()}, now); got != want {
			t.Errorf("%v before its end: %d days, want %d", left, got, want)
		}
	}
	if got := c.daysToPay(mesh.Lighthouse{}, now); got != 30 {
		t.Errorf("a lighthouse that is not on chain pays %d days", got)
	}
}
