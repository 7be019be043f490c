package nebula_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

// A VM was moved: its former miner still runs the earlier instance, with
// an identity of the same address that was good when it was given. Everybody
// who was told refuses it: other VMs, the tenant's devices, lighthouses.
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

	// The VM itself runs elsewhere, at the same address.
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

// What was revoked before the lighthouse first saw it is accepted for a short time,
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
