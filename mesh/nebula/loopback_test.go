package nebula_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/mesh/device"
	"github.com/hippius/compute/mesh/nebula"
)

var _ device.Session = (*nebula.Node)(nil)

// quick is long enough for every reachable host here and short enough to prove
// in passing that others are not.
const quick = 1500 * time.Millisecond

func TestTwoTenantsOneLighthouse(t *testing.T) {
	op, alice, bob := operator(t), tenant(t, 1), tenant(t, 2)
	lh := start(t, "lighthouse", op.lighthouseConfig(t, loopback(1), alice, bob))
	seen := op.as(lh, loopback(1))

	vm := start(t, "alice vm", onLoopback(alice.member(t, 2, "vm"), seen))
	laptop := start(t, "alice laptop", onLoopback(alice.member(t, 48, "device"), seen))
	stranger := start(t, "bob", onLoopback(bob.member(t, 2), seen))
	echo(t, vm)

	reaches(t, laptop, vm.Addr())
	p, ok := laptop.Peer(vm.Addr())
	require.True(t, ok)
	require.Equal(t, loopback(1), p.Underlay.Addr(), "direct")
	require.Empty(t, p.Relays)

	t.Run("another tenant cannot even name the address", func(t *testing.T) {
		_, err := dial(t, stranger, vm.Addr(), quick)
		require.ErrorIs(t, err, nebula.ErrOutside)
	})
	t.Run("a lighthouse has no packets of its own", func(t *testing.T) {
		_, err := dial(t, lh, vm.Addr(), quick)
		require.ErrorIs(t, err, nebula.ErrNotUserspace)
	})
}
