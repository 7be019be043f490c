package nebula_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/nebula"
)

func TestRelayOnly(t *testing.T) {
	t.Parallel()
	op, alice := operator(t), tenant(t, 1)
	lh := start(t, "lighthouse", op.lighthouseConfig(t, loopback(1), alice))
	seen := op.as(lh, loopback(1))
	vm := start(t, "vm", relayOnly(alice.member(t, 2), 2, seen))
	laptop := start(t, "laptop", relayOnly(alice.member(t, 48), 3, seen))
	echo(t, vm)

	reaches(t, laptop, vm.Addr())
	p, ok := laptop.Peer(vm.Addr())
	require.True(t, ok)
	require.False(t, p.Underlay.IsValid(), "nothing goes directly: %s", p.Underlay)
	require.Equal(t, []netip.Addr{op.block.Addr()}, p.Relays)

	t.Run("not without relays", func(t *testing.T) {
		c := relayOnly(alice.member(t, 49), 4, seen)
		c.UseRelays = false
		_, err := dial(t, start(t, "other laptop", c), vm.Addr(), quick)
		require.ErrorIs(t, err, nebula.ErrUnreachable)
	})
	t.Run("a stream with its two ends", func(t *testing.T) {
		stream(t, laptop, vm.Addr())
	})
}

// stream sends as ssh would: much, both ways at once, then one half closes.
func stream(t *testing.T, from *nebula.Node, to netip.Addr) {
	t.Helper()
	conn, err := dial(t, from, to, 5*time.Second)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	sent := make([]byte, 1<<20)
	_, _ = rand.Read(sent)
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(conn)
		got <- b
	}()
	_, err = conn.Write(sent)
	require.NoError(t, err)
	half, ok := conn.(interface{ CloseWrite() error })
	require.True(t, ok)
	require.NoError(t, half.CloseWrite())
	require.True(t, bytes.Equal(sent, <-got))
}

// An authority that names another tenant's block: the lighthouse must not take
// it. With the check it does not, and the tenant's traffic flows. Without it
// the thief registers the victim's address and swallows what is relayed there:
// the second half of the test shows that the attack is real, so that the first
// half means something.
func TestAdmissionKeepsStolenAddressesOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		check bool
	}{{"checked", true}, {"unchecked", false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			op, alice, mallory := operator(t), tenant(t, 1), thief(t, tenant(t, 1))
			allocated := admit.Allocation{Networks: tenant(t, 3).Certificate().Networks()}
			config := op.lighthouseConfig(t, loopback(1), alice)
			_, err := admit.Tenant(mallory.bytes(), allocated, time.Now())
			require.ErrorIs(t, err, admit.ErrNetworks)
			if !c.check {
				config.CAs = append(config.CAs, mallory.bytes())
			}
			lh := start(t, "lighthouse", config)
			seen := op.as(lh, loopback(1))

			vm := start(t, "vm", relayOnly(alice.member(t, 2), 2, seen))
			echo(t, vm)
			reaches(t, start(t, "laptop", relayOnly(alice.member(t, 48), 3, seen)), vm.Addr())

			evil := start(t, "mallory", relayOnly(mallory.member(t, 2), 4, seen))
			echo(t, evil)
			later := start(t, "later laptop", relayOnly(alice.member(t, 49), 5, seen))
			if c.check {
				require.Never(t, evil.LighthouseUp, 300*time.Millisecond, 20*time.Millisecond)
				reaches(t, later, vm.Addr())
				return
			}
			require.Eventually(t, evil.LighthouseUp, 30*time.Second, 10*time.Millisecond)
			_, err = dial(t, later, vm.Addr(), quick)
			require.ErrorIs(t, err, nebula.ErrUnreachable, "the thief should have swallowed the traffic")
		})
	}
}

// thief has a key of its own and claims the victim's networks.
func thief(t *testing.T, victim *party) *party {
	t.Helper()
	a, err := ca.NewTenant(seed(99), victim.Certificate().Networks(), "thief", time.Now().Add(-time.Hour), time.Now().Add(time.Hour*1000))
	require.NoError(t, err)
	return &party{Authority: a, block: victim.block}
}

// Even a lighthouse that introduces and relays for anyone does not let one
// tenant into another's network: the members themselves refuse.
func TestPatchedLighthouseLetsNobodyIn(t *testing.T) {
	t.Parallel()
	op, alice := operator(t), tenant(t, 1)
	mallory := thief(t, alice)
	lh := start(t, "lighthouse", op.lighthouseConfig(t, loopback(1), alice, mallory))
	seen := op.as(lh, loopback(1))
	vm := start(t, "vm", onLoopback(alice.member(t, 2), seen))
	echo(t, vm)
	evil := start(t, "mallory", onLoopback(mallory.member(t, 50), seen))
	reaches(t, start(t, "laptop", onLoopback(alice.member(t, 48), seen)), vm.Addr())
	_, err := dial(t, evil, vm.Addr(), quick)
	require.ErrorIs(t, err, nebula.ErrUnreachable)
	_, tunnel := vm.Peer(evil.Addr())
	require.False(t, tunnel)
}

// A lighthouse that restarts takes the relayed sessions neither with it nor
// long to carry on.
func TestRelayedSessionOutlivesItsLighthouse(t *testing.T) {
	t.Parallel()
	op, alice := operator(t), tenant(t, 1)
	config := op.lighthouseConfig(t, loopback(1), alice)
	lh := start(t, "lighthouse", config)
	seen := op.as(lh, loopback(1))
	vm := start(t, "vm", relayOnly(alice.member(t, 2), 2, seen))
	echo(t, vm)
	session := reaches(t, start(t, "laptop", relayOnly(alice.member(t, 48), 3, seen)), vm.Addr())

	require.NoError(t, lh.Close())
	config.Listen = seen.Underlay[0]
	start(t, "lighthouse again", config)
	began := time.Now()
	pongWithin(t, session, 10*time.Second) // two, usually; up to 17 without mending
	t.Logf("paused for %s", time.Since(began))
}
