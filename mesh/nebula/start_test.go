package nebula_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
	"github.com/hippius/compute/mesh/nebula/netstack"
)

// clocked is a member whose certificate is valid from and to, seen from now.
func clocked(t *testing.T, from, to time.Duration) nebula.Config {
	t.Helper()
	now := time.Now()
	key := ed25519.NewKeyFromSeed(seed(1))
	block := []netip.Prefix{netip.MustParsePrefix("100.64.0.64/26")}
	authority, err := cert.SignAuthority(cert.Template{
		Name: "a", Networks: block, UnsafeNetworks: block, NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(48 * time.Hour),
	}, key)
	require.NoError(t, err)
	public, private, err := cert.NewHostKey()
	require.NoError(t, err)
	host, err := cert.SignHost(cert.Template{
		Name: "web-1", Networks: []netip.Prefix{netip.MustParsePrefix("100.64.0.66/26")}, PublicKey: public,
		NotBefore: now.Add(from), NotAfter: now.Add(to),
	}, authority, key)
	require.NoError(t, err)
	return nebula.Config{Mode: nebula.ModeUserspace, Stack: netstack.New, CAs: [][]byte{authority.PEM()}, Cert: host.PEM(), Key: private}
}

func TestWrongClockIsNamed(t *testing.T) {
	t.Parallel()
	_, err := nebula.Start(t.Context(), clocked(t, 2*time.Hour, 3*time.Hour), logger(t, "slow clock"))
	require.ErrorIs(t, err, cert.ErrNotYetValid)
	require.ErrorContains(t, err, `"web-1"`)
	require.ErrorContains(t, err, "the local clock says "+time.Now().UTC().Format("2006-01-02"))
	require.ErrorContains(t, err, "correct the clock")

	_, err = nebula.Start(t.Context(), clocked(t, -3*time.Hour, -2*time.Hour), logger(t, "fast clock"))
	require.ErrorIs(t, err, cert.ErrExpired)
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	alice, bob, op := tenant(t, 1), tenant(t, 2), operator(t)
	at := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}
	other, _, err := cert.NewHostKey()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		edit func(*nebula.Config)
		want error
	}{
		"no mode":             {func(c *nebula.Config) { c.Mode = "" }, nebula.ErrConfig},
		"no authority":        {func(c *nebula.Config) { c.CAs = nil }, nebula.ErrConfig},
		"another's authority": {func(c *nebula.Config) { c.CAs = [][]byte{bob.bytes()} }, cert.ErrUntrusted},
		"a host as authority": {func(c *nebula.Config) { c.CAs = [][]byte{c.Cert} }, cert.ErrUntrusted},
		"a forged authority": {func(c *nebula.Config) {
			c.CAs = [][]byte{c.CAs[0], bytes.Clone(bob.bytes())}
			c.CAs[1][len(c.CAs[1])-1] ^= 1
		}, cert.ErrUntrusted},
		"an authority as host":    {func(c *nebula.Config) { c.Cert = alice.bytes() }, nebula.ErrConfig},
		"another's key":           {func(c *nebula.Config) { c.Key = other }, cert.ErrKeyMismatch},
		"rubbish key":             {func(c *nebula.Config) { c.Key = []byte("key") }, nebula.ErrConfig},
		"rubbish certificate":     {func(c *nebula.Config) { c.Cert = []byte("cert") }, cert.ErrMalformed},
		"a large certificate":     {func(c *nebula.Config) { c.Cert = make([]byte, 1025) }, cert.ErrTooLarge},
		"an authority of its own": {func(c *nebula.Config) { c.SelfCA = op.bytes() }, nebula.ErrConfig},
		"no underlay":             {func(c *nebula.Config) { c.Lighthouses = []nebula.Lighthouse{{Addr: op.block.Addr(), CA: op.bytes()}} }, nebula.ErrConfig},
		"wrong lighthouse": {func(c *nebula.Config) {
			c.Lighthouses = []nebula.Lighthouse{{Addr: netip.MustParseAddr("100.127.0.2"), Underlay: at, CA: op.bytes()}}
		}, cert.ErrNotPinned},
		"a tenant as lighthouse": {func(c *nebula.Config) {
			c.Lighthouses = []nebula.Lighthouse{{Addr: bob.addr(2), Underlay: at, CA: bob.bytes()}}
		}, cert.ErrNotPinned},
		"fingerprint": {func(c *nebula.Config) { c.Blocklist = []string{"ab"} }, nebula.ErrConfig},
		"mtu":         {func(c *nebula.Config) { c.MTU = 9000 }, nebula.ErrConfig},
		"rule with two sources": {func(c *nebula.Config) {
			c.Firewall.Inbound = []nebula.Rule{{Proto: nebula.ProtoTCP, Groups: []string{"a"}, Host: "b"}}
		}, nebula.ErrConfig},
		"rule for group any": {func(c *nebula.Config) {
			c.Firewall.Inbound = []nebula.Rule{{Proto: nebula.ProtoTCP, Groups: []string{"any"}}}
		}, nebula.ErrConfig},
	} {
		t.Run(name, func(t *testing.T) {
			config := alice.member(t, 2)
			c.edit(&config)
			_, err := nebula.Start(t.Context(), config, logger(t, name))
			require.ErrorIs(t, err, c.want)
		})
	}
}

// The library loads only a bundle without fault: what it refuses must be
// refused here, or one bad entry would freeze a lighthouse at its old bundle.
func TestNamesCannotBecomeSettings(t *testing.T) {
	t.Parallel()
	op, now := operator(t), time.Now()
	key := ed25519.NewKeyFromSeed(seed(9))
	block := []netip.Prefix{netip.MustParsePrefix("100.64.0.64/26")}
	evil, err := cert.SignAuthority(cert.Template{
		Name:     "x\npki:\n  disconnect_invalid: false\n-----BEGIN NEBULA CERTIFICATE-----\n",
		Networks: block, UnsafeNetworks: block, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}, key)
	require.NoError(t, err)
	alice := tenant(t, 2)
	config := op.lighthouseConfig(t, loopback(1), alice)
	lh := start(t, "lighthouse", config)
	config.CAs = append(config.CAs, evil.Raw())
	require.NoError(t, lh.Reload(config))
	seen := op.as(lh, loopback(1))
	vm := start(t, "vm", onLoopback(alice.member(t, 2), seen))
	require.Eventually(t, vm.LighthouseUp, 30*time.Second, 5*time.Millisecond)
}

func TestFirewall(t *testing.T) {
	t.Parallel()
	op, alice := operator(t), tenant(t, 1)
	lh := start(t, "lighthouse", op.lighthouseConfig(t, loopback(1), alice))
	seen := op.as(lh, loopback(1))
	vmConfig := onLoopback(alice.member(t, 2, "vm"), seen)
	admins := nebula.Rule{Proto: nebula.ProtoTCP, PortFrom: 20, PortTo: 30, Groups: []string{"admin"}}
	vmConfig.Firewall.Inbound = []nebula.Rule{admins}
	vm := start(t, "vm", vmConfig)
	echo(t, vm)
	admin := start(t, "admin", onLoopback(alice.member(t, 48, "admin", "other"), seen))
	guest := start(t, "guest", onLoopback(alice.member(t, 49, "other"), seen))

	open := reaches(t, admin, vm.Addr())
	_, err := dial(t, guest, vm.Addr(), quick)
	require.ErrorContains(t, err, "its mesh answers, its port 22 does not")
	require.ErrorIs(t, err, context.DeadlineExceeded)

	t.Run("loosened", func(t *testing.T) {
		vmConfig.Firewall.Inbound = []nebula.Rule{admins, {Proto: nebula.ProtoTCP, PortFrom: 22, Network: netip.PrefixFrom(guest.Addr(), 32)}}
		require.NoError(t, vm.Reload(vmConfig))
		reaches(t, guest, vm.Addr())
		pong(t, open)
	})
	t.Run("refused where nobody listens", func(t *testing.T) {
		_, err := admin.DialContext(t.Context(), "tcp", netip.AddrPortFrom(vm.Addr(), 23).String())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

func TestDialSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	op, alice := operator(t), tenant(t, 1)
	lh := start(t, "lighthouse", op.lighthouseConfig(t, loopback(1), alice))
	dead := op.as(lh, loopback(1))
	laptop := start(t, "laptop", onLoopback(alice.member(t, 48), dead))
	_, err := dial(t, laptop, alice.addr(2), quick)
	require.ErrorIs(t, err, nebula.ErrUnreachable)
	require.NoError(t, lh.Close())
	other := start(t, "other", onLoopback(alice.member(t, 49), dead))
	_, err = dial(t, other, alice.addr(2), quick)
	require.ErrorIs(t, err, nebula.ErrNoLighthouse)
}

// Not parallel: it counts goroutines.
func TestCloseLeavesNothing(t *testing.T) {
	op, alice := operator(t), tenant(t, 1)
	before := runtime.NumGoroutine()
	for range 3 {
		lh := start(t, "lighthouse", op.lighthouseConfig(t, loopback(1), alice))
		seen := op.as(lh, loopback(1))
		ctx, cancel := context.WithCancel(t.Context())
		vm, err := nebula.Start(ctx, onLoopback(alice.member(t, 2), seen), logger(t, "vm"))
		require.NoError(t, err)
		laptop := start(t, "laptop", onLoopback(alice.member(t, 48), seen))
		l, err := vm.Listen("tcp", ":22")
		require.NoError(t, err)
		accepted := make(chan error, 1)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
			accepted <- err
		}()
		_, err = dial(t, laptop, vm.Addr(), 5*time.Second)
		require.NoError(t, err)
		cancel() // ends vm, as Close would
		select {
		case <-vm.Done():
		case <-time.After(5 * time.Second):
			t.Fatal("the node outlives its context")
		}
		require.Error(t, <-accepted)
		require.NoError(t, vm.Err())
		require.NoError(t, laptop.Close())
		require.NoError(t, lh.Close())
	}
	testkit.Eventually(t, 3*time.Second, func() error {
		if runtime.NumGoroutine() <= before {
			return nil
		}
		buf := make([]byte, 1<<20)
		return fmt.Errorf("%d goroutines before, %d after\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
	})
}
