package nebula_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
)

// Evicting an authority from the lighthouse cuts its members off, relayed
// sessions first, and no one else.
func TestEvictedAuthorityIsCut(t *testing.T) {
	t.Parallel()
	op, alice, bob := operator(t), tenant(t, 1), tenant(t, 2)
	config := op.lighthouseConfig(t, loopback(1), alice, bob)
	lh := start(t, "lighthouse", config)
	seen := op.as(lh, loopback(1))
	aliceVM := start(t, "alice vm", relayOnly(alice.member(t, 2), 2, seen))
	bobVM := start(t, "bob vm", relayOnly(bob.member(t, 2), 3, seen))
	echo(t, aliceVM)
	echo(t, bobVM)
	bobLaptop := start(t, "bob laptop", relayOnly(bob.member(t, 48), 5, seen))
	keeps := reaches(t, start(t, "alice laptop", relayOnly(alice.member(t, 48), 4, seen)), aliceVM.Addr())
	loses := reaches(t, bobLaptop, bobVM.Addr())

	config.CAs = [][]byte{alice.bytes()}
	require.NoError(t, lh.Reload(config))
	silent(t, loses)
	pong(t, keeps)
	_, err := dial(t, bobLaptop, bobVM.Addr(), quick)
	require.Error(t, err)
	_, err = dial(t, start(t, "new bob laptop", relayOnly(bob.member(t, 49), 6, seen)), bobVM.Addr(), quick)
	require.ErrorIs(t, err, nebula.ErrNoLighthouse)
}

func TestBlockedCertificateIsCut(t *testing.T) {
	t.Parallel()
	op, alice := operator(t), tenant(t, 1)
	lh := start(t, "lighthouse", op.lighthouseConfig(t, loopback(1), alice))
	seen := op.as(lh, loopback(1))
	vmConfig := onLoopback(alice.member(t, 2), seen)
	vm := start(t, "vm", vmConfig)
	echo(t, vm)
	laptop := start(t, "laptop", onLoopback(alice.member(t, 48), seen))
	stolenConfig := onLoopback(alice.member(t, 49), seen)
	stolen := start(t, "stolen", stolenConfig)
	keeps, loses := reaches(t, laptop, vm.Addr()), reaches(t, stolen, vm.Addr())

	c, err := cert.Parse(stolenConfig.Cert)
	require.NoError(t, err)
	vmConfig.Blocklist = []string{c.Fingerprint()}
	require.NoError(t, vm.Reload(vmConfig))
	_, tunnel := vm.Peer(stolen.Addr())
	require.False(t, tunnel, "cut before Reload returns")
	silent(t, loses)
	pong(t, keeps)
	_, err = dial(t, stolen, vm.Addr(), quick)
	require.Error(t, err)
}

func TestHotAddLosesNoSession(t *testing.T) {
	t.Parallel()
	op, alice, bob := operator(t), tenant(t, 1), tenant(t, 2)
	config := op.lighthouseConfig(t, loopback(1), alice)
	lh := start(t, "lighthouse", config)
	seen := op.as(lh, loopback(1))
	vm := start(t, "vm", relayOnly(alice.member(t, 2), 2, seen))
	echo(t, vm)
	session := reaches(t, start(t, "laptop", relayOnly(alice.member(t, 48), 3, seen)), vm.Addr())
	bobVM := start(t, "bob vm", onLoopback(bob.member(t, 2), seen))
	bobLaptop := start(t, "bob laptop", onLoopback(bob.member(t, 48), seen))
	echo(t, bobVM)

	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20 {
			added := config
			added.CAs = append(append([][]byte{}, config.CAs...), many(t, i*5)...)
			if i >= 10 {
				added.CAs = append(added.CAs, bob.bytes())
			}
			if err := lh.Reload(added); err != nil {
				t.Errorf("reload %d: %v", i, err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		pong(t, session)
	}
	reaches(t, bobLaptop, bobVM.Addr())
}

// many makes n authorities of tenants that do not exist otherwise.
func many(t testing.TB, n int) [][]byte {
	t.Helper()
	out := make([][]byte, n)
	for i := range out {
		block := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 100, byte(i >> 2), byte(i&3) * 64}), 26)
		if i >= 1024 {
			block = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64 + byte(i>>10), byte(i >> 2), byte(i&3) * 64}), 26)
		}
		s := seed(7)
		s[0], s[1], s[2] = byte(i), byte(i>>8), byte(i>>16)
		a, err := ca.NewTenant(s, []netip.Prefix{block}, "someone", time.Now().Add(-time.Hour), time.Now().Add(time.Hour*24))
		require.NoError(t, err)
		out[i] = a.Certificate().Raw()
	}
	return out
}

func TestCertificateReload(t *testing.T) {
	t.Parallel()
	op, alice := operator(t), tenant(t, 1)
	lh := start(t, "lighthouse", op.lighthouseConfig(t, loopback(1), alice))
	seen := op.as(lh, loopback(1))
	vm := start(t, "vm", onLoopback(alice.member(t, 2), seen))
	echo(t, vm)
	config := onLoopback(alice.member(t, 48), seen)
	laptop := start(t, "laptop", config)
	session := reaches(t, laptop, vm.Addr())

	renewed := alice.member(t, 48, "renewed") // another key, even
	next := config
	next.Cert, next.Key = renewed.Cert, renewed.Key
	require.NoError(t, laptop.Reload(next))
	want, err := cert.Parse(next.Cert)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		pong(t, session)
		p, ok := vm.Peer(laptop.Addr())
		return ok && p.Fingerprint == want.Fingerprint()
	}, 15*time.Second, 50*time.Millisecond, "the peer learns the new certificate while the session goes on")

	t.Run("refusals leave the old settings", func(t *testing.T) {
		moved := config
		other := alice.member(t, 50)
		moved.Cert, moved.Key = other.Cert, other.Key
		require.ErrorIs(t, laptop.Reload(moved), nebula.ErrNetworksChanged)

		mismatch := next
		mismatch.Key = other.Key
		require.ErrorIs(t, laptop.Reload(mismatch), cert.ErrKeyMismatch)

		restart := next
		restart.Mode, restart.Stack = nebula.ModeTun, nil
		require.ErrorIs(t, laptop.Reload(restart), nebula.ErrNeedsRestart)

		poisoned := next
		poisoned.CAs = append([][]byte{[]byte("rubbish")}, next.CAs...)
		require.ErrorIs(t, laptop.Reload(poisoned), cert.ErrMalformed)
		pong(t, session)
	})
	t.Run("closed", func(t *testing.T) {
		require.NoError(t, laptop.Close())
		require.ErrorIs(t, laptop.Reload(next), nebula.ErrClosed)
		_, err := laptop.DialContext(context.Background(), "tcp", netip.AddrPortFrom(vm.Addr(), 22).String())
		require.ErrorIs(t, err, nebula.ErrClosed)
	})
}

// A tenant renews its authority: both are trusted, then the hosts are signed
// again, then the old one goes. No session is lost on the way.
func TestAuthorityRenewal(t *testing.T) {
	t.Parallel()
	t.Run("direct", func(t *testing.T) {
		t.Parallel()
		renewal(t, func(c nebula.Config, _ byte, l nebula.Lighthouse) nebula.Config { return onLoopback(c, l) })
	})
	t.Run("relayed", func(t *testing.T) {
		t.Parallel()
		renewal(t, func(c nebula.Config, n byte, l nebula.Lighthouse) nebula.Config { return relayOnly(c, n, l) })
	})
}

func renewal(t *testing.T, place func(nebula.Config, byte, nebula.Lighthouse) nebula.Config) {
	t.Helper()
	op, old := operator(t), tenant(t, 1)
	a, err := old.Renew(time.Now().Add(-ca.Backdate), time.Now().Add(2*ca.DefaultLifetime))
	require.NoError(t, err)
	renewed := &party{Authority: a, block: old.block}
	both := [][]byte{old.bytes(), renewed.bytes()}

	lhConfig := op.lighthouseConfig(t, loopback(1), old)
	lh := start(t, "lighthouse", lhConfig)
	seen := op.as(lh, loopback(1))
	vmConfig, laptopConfig := place(old.member(t, 2), 2, seen), place(old.member(t, 48), 3, seen)
	vm, laptop := start(t, "vm", vmConfig), start(t, "laptop", laptopConfig)
	echo(t, vm)
	session := reaches(t, laptop, vm.Addr())

	lhConfig.CAs, vmConfig.CAs, laptopConfig.CAs = both, both, both
	require.NoError(t, lh.Reload(lhConfig))
	require.NoError(t, vm.Reload(vmConfig))
	require.NoError(t, laptop.Reload(laptopConfig))
	pong(t, session)
	for _, m := range []struct {
		node   *nebula.Node
		config *nebula.Config
		host   byte
	}{{vm, &vmConfig, 2}, {laptop, &laptopConfig, 48}} {
		again := renewed.member(t, m.host)
		m.config.Cert, m.config.Key = again.Cert, again.Key
		require.NoError(t, m.node.Reload(*m.config))
	}
	// The lighthouse may keep using an older tunnel beside the new one.
	require.Eventually(t, func() bool {
		pong(t, session)
		onVM, ok1 := vm.Peer(laptop.Addr())
		onLaptop, ok2 := laptop.Peer(vm.Addr())
		fp := renewed.Certificate().Fingerprint()
		return ok1 && ok2 && onVM.Issuer == fp && onLaptop.Issuer == fp
	}, 30*time.Second, 50*time.Millisecond)
	lhConfig.CAs, vmConfig.CAs, laptopConfig.CAs = both[1:], both[1:], both[1:]
	require.NoError(t, lh.Reload(lhConfig))
	require.NoError(t, vm.Reload(vmConfig))
	require.NoError(t, laptop.Reload(laptopConfig))
	// Where the lighthouse was still using an older tunnel, relays through it
	// have to be made again: a session pauses, it does not end.
	var longest time.Duration
	for range 20 {
		began := time.Now()
		pongWithin(t, session, 10*time.Second) // two, at most; 26 without mending
		longest = max(longest, time.Since(began))
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("longest pause %s", longest)
}
