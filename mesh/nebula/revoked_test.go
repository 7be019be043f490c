package nebula_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
)

func fingerprint(t *testing.T, c nebula.Config) string {
	t.Helper()
	parsed, err := cert.Parse(c.Cert)
	require.NoError(t, err)
	return parsed.Fingerprint()
}

func rawFingerprint(t *testing.T, c nebula.Config) []byte {
	t.Helper()
	raw, err := hex.DecodeString(fingerprint(t, c))
	require.NoError(t, err)
	return raw
}

// revokes says that a party gave certificates up.
func revokes(t *testing.T, by *party, given ...nebula.Config) map[string][][]byte {
	t.Helper()
	out := map[string][][]byte{}
	for _, c := range given {
		authority := by.Certificate().Fingerprint()
		out[authority] = append(out[authority], rawFingerprint(t, c))
	}
	return out
}

// A machine was moved: its former miner still runs the earlier instance, with
// an identity of the same address that was good when it was given. Everybody
// who was told refuses it: other machines, the tenant's devices, lighthouses.
func TestFencedInstanceIsRefused(t *testing.T) {
	t.Parallel()
	op, alice := operator(t), tenant(t, 1)
	lhConfig := op.lighthouseConfig(t, loopback(1), alice)
	lh := start(t, "lighthouse", lhConfig)
	seen := op.as(lh, loopback(1))
	fencedConfig := onLoopback(alice.member(t, 2, "vm"), seen)
	fenced := start(t, "fenced", fencedConfig)
	echo(t, fenced)
	laptopConfig, vmConfig := onLoopback(alice.member(t, 48), seen), onLoopback(alice.member(t, 3), seen)
	laptop, vm := start(t, "laptop", laptopConfig), start(t, "vm", vmConfig)
	echo(t, vm)
	for _, n := range []*nebula.Node{laptop, vm} {
		loses := reaches(t, n, fenced.Addr())
		t.Cleanup(func() { silent(t, loses) })
	}
	inside := reaches(t, fenced, vm.Addr())

	// Both are told, and are rid of it at once.
	blocklist := []string{fingerprint(t, fencedConfig)}
	laptopConfig.Blocklist, vmConfig.Blocklist = blocklist, blocklist
	require.NoError(t, laptop.Reload(laptopConfig))
	require.NoError(t, vm.Reload(vmConfig))
	silent(t, inside)
	for _, n := range []*nebula.Node{laptop, vm} {
		_, err := dial(t, n, fenced.Addr(), quick)
		require.ErrorIs(t, err, nebula.ErrUnreachable)
	}
	_, err := dial(t, fenced, vm.Addr(), quick)
	require.Error(t, err)
	_, tunnel := vm.Peer(fenced.Addr())
	require.False(t, tunnel, "it calls in vain")

	// The lighthouse, too: it no more introduces it.
	require.True(t, fenced.LighthouseUp())
	lhConfig.Revoked = revokes(t, alice, fencedConfig)
	require.NoError(t, lh.Reload(lhConfig))
	_, tunnel = lh.Peer(fenced.Addr())
	require.False(t, tunnel, "cut before Reload returns")
	require.Eventually(t, func() bool { return !fenced.LighthouseUp() }, 30*time.Second, 50*time.Millisecond)

	// The machine itself runs elsewhere, at the same address.
	moved := start(t, "moved", onLoopback(alice.member(t, 2, "vm"), seen))
	echo(t, moved)
	for _, n := range []*nebula.Node{laptop, vm} {
		reaches(t, n, moved.Addr())
		p, ok := n.Peer(moved.Addr())
		require.True(t, ok)
		require.NotEqual(t, blocklist[0], p.Fingerprint)
	}
	require.False(t, fenced.LighthouseUp())
}

// Certificates are on chain for all to see: a tenant that revokes another's
// must not have lighthouses refuse it, before it is first seen nor after.
func TestNobodyRevokesAnothers(t *testing.T) {
	t.Parallel()
	op, alice, mallory := operator(t), tenant(t, 1), tenant(t, 2)
	config := op.lighthouseConfig(t, loopback(1), alice, mallory)
	vmConfig, laterConfig := alice.member(t, 2), alice.member(t, 3)
	config.Revoked = revokes(t, mallory, vmConfig, laterConfig)
	lh := start(t, "lighthouse", config)
	seen := op.as(lh, loopback(1))
	vm := start(t, "vm", relayOnly(vmConfig, 2, seen))
	echo(t, vm)
	session := reaches(t, start(t, "laptop", relayOnly(alice.member(t, 48), 3, seen)), vm.Addr())
	require.NoError(t, lh.Reload(config))
	later := start(t, "later", relayOnly(laterConfig, 4, seen))
	require.Eventually(t, later.LighthouseUp, 30*time.Second, 10*time.Millisecond)
	// Longer than a lighthouse takes to look.
	require.Never(t, func() bool { return !vm.LighthouseUp() || !later.LighthouseUp() }, 3*time.Second, 50*time.Millisecond)
	pong(t, session)
}

// What was revoked before the lighthouse first saw it gets in for a moment,
// once; from then on the lighthouse knows it.
func TestRevokedBeforeItAppears(t *testing.T) {
	t.Parallel()
	op, alice := operator(t), tenant(t, 1)
	config := op.lighthouseConfig(t, loopback(1), alice)
	fencedConfig := alice.member(t, 2)
	config.Revoked = revokes(t, alice, fencedConfig)
	lh := start(t, "lighthouse", config)
	fenced := start(t, "fenced", onLoopback(fencedConfig, op.as(lh, loopback(1))))
	require.Eventually(t, fenced.LighthouseUp, 30*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return !fenced.LighthouseUp() }, 30*time.Second, time.Millisecond, "cut")
	// It calls again each second, until the library refuses it.
	var quiet int
	require.Eventually(t, func() bool {
		if fenced.LighthouseUp() {
			quiet = 0
		}
		quiet++
		return quiet > 40
	}, 40*time.Second, 100*time.Millisecond)
}

func TestRevokedMustBeALighthouses(t *testing.T) {
	t.Parallel()
	alice := tenant(t, 1)
	c := alice.member(t, 2)
	c.Revoked = revokes(t, alice, c)
	_, err := nebula.Start(t.Context(), c, logger(t, "member"))
	require.ErrorIs(t, err, nebula.ErrConfig)
	l := operator(t).lighthouseConfig(t, loopback(1), alice)
	l.Revoked = map[string][][]byte{alice.Certificate().Fingerprint(): {{1, 2, 3}}}
	_, err = nebula.Start(t.Context(), l, logger(t, "lighthouse"))
	require.ErrorIs(t, err, nebula.ErrConfig)
}

// One operator that registers nonsense must not keep members from the others.
func TestUsableLighthouses(t *testing.T) {
	t.Parallel()
	op, alice := operator(t), tenant(t, 1)
	good := nebula.Lighthouse{Addr: op.block.Addr(), Underlay: []netip.AddrPort{netip.AddrPortFrom(loopback(1), 4242)}, CA: op.bytes()}
	with := func(edit func(*nebula.Lighthouse)) nebula.Lighthouse {
		l := good
		edit(&l)
		return l
	}
	at := func(text ...string) (out []netip.AddrPort) {
		for _, s := range text {
			out = append(out, netip.MustParseAddrPort(s))
		}
		return out
	}
	wide, err := cert.SignAuthority(cert.Template{
		Name: "wide", NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, ed25519.NewKeyFromSeed(seed(77)))
	require.NoError(t, err)
	for name, hostile := range map[string]nebula.Lighthouse{
		"no authority":         with(func(l *nebula.Lighthouse) { l.CA = nil }),
		"rubbish":              with(func(l *nebula.Lighthouse) { l.CA = []byte("rubbish") }),
		"a host's certificate": with(func(l *nebula.Lighthouse) { l.CA = alice.member(t, 2).Cert }),
		"signs for anything":   with(func(l *nebula.Lighthouse) { l.CA = wide.Raw() }),
		"a tenant's authority": with(func(l *nebula.Lighthouse) { l.CA = alice.bytes() }),
		"another's address":    with(func(l *nebula.Lighthouse) { l.Addr = l.Addr.Next() }),
		"a member's address":   with(func(l *nebula.Lighthouse) { l.Addr, l.CA = alice.addr(2), alice.bytes() }),
		"no address":           with(func(l *nebula.Lighthouse) { l.Addr = netip.Addr{} }),
		"nowhere":              with(func(l *nebula.Lighthouse) { l.Underlay = nil }),
		"nowhere usable": with(func(l *nebula.Lighthouse) {
			l.Underlay = at("0.0.0.0:4242", "192.0.2.1:0", "224.0.0.1:1", "[fe80::1%eth0]:1")
		}),
		"the same a second time":  good,
		"broken after its making": {Addr: house(t, 9).block.Addr(), Underlay: good.Underlay, CA: broken(house(t, 9).bytes())},
	} {
		fit, refused := nebula.Usable([]nebula.Lighthouse{good, hostile})
		require.Len(t, refused, 1, name)
		require.Equal(t, []nebula.Lighthouse{good}, fit, name)
	}
	many := with(func(l *nebula.Lighthouse) {
		l.Underlay = at("0.0.0.0:1")
		for i := range byte(40) {
			l.Underlay = append(l.Underlay, netip.AddrPortFrom(loopback(i+1), 4242))
		}
	})
	fit, refused := nebula.Usable([]nebula.Lighthouse{many})
	require.Empty(t, refused)
	require.Len(t, fit[0].Underlay, nebula.MaxUnderlay)
	var crowd []nebula.Lighthouse
	for i := range byte(nebula.MaxLighthouses + 5) {
		h := house(t, i)
		crowd = append(crowd, nebula.Lighthouse{Addr: h.block.Addr(), Underlay: good.Underlay, CA: h.bytes()})
	}
	fit, refused = nebula.Usable(crowd)
	require.Len(t, fit, nebula.MaxLighthouses)
	require.Len(t, refused, 5)
	config := onLoopback(alice.member(t, 2), fit...)
	start(t, "member of many", config)
}

// broken is a certificate with one bit of its signature turned.
func broken(raw []byte) []byte {
	out := bytes.Clone(raw)
	out[len(out)-1] ^= 1
	return out
}

// house is the n-th of many operators.
func house(t *testing.T, n byte) *party {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{100, 127, 1, n})
	a, err := ca.NewLighthouse(seed(n), addr, "one of many", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	require.NoError(t, err)
	return &party{Authority: a, block: netip.PrefixFrom(addr, 32)}
}
