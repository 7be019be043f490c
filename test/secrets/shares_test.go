package secrets

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/cli/connect"
	"github.com/hippius/compute/tenant"
)

// Keepers hold as many shares as their stake gives: here five, two and two, of which six open. The large one and a small one are
// enough to deal and to collect; the two small ones together are not, nor is the large one alone.
func TestSharesByStake(t *testing.T) {
	miner := newKey(t)
	for _, c := range []struct {
		down int
		ok   bool
	}{{1, true}, {0, false}} {
		t.Run(fmt.Sprint("without ", c.down), func(t *testing.T) {
			n := newCommittee(t, miner, 5, 2, 2)
			require.Equal(t, uint32(6), n.committee.Threshold)
			peers, err := connect.NewKeepers()
			require.NoError(t, err)
			a := newParty(t, peers)
			d, err := a.client.Deal(t.Context(), a.order(n, 1, 2, tenant.UserData{}))
			require.NoError(t, err)
			require.Len(t, d.Instances[0].Receipts, 3)
			n.order(a.wallet, d, tenant.UserData{}, 1)
			n.stops[c.down]()
			got, _, err := n.collector(miner).Collect(t.Context(), d.VMID, 1)
			_, dealErr := a.client.Deal(t.Context(), a.order(n, 3, 1, tenant.UserData{}))
			if c.ok {
				require.NoError(t, err)
				require.Equal(t, a.made.made[1].DiskKey, got.DiskKey)
				require.NoError(t, dealErr)
				n.stops[2]()
				_, _, err = n.collector(miner).Collect(t.Context(), d.VMID, 1)
				require.ErrorContains(t, err, "5 of 9 shares, and 6 are needed")
				return
			}
			require.ErrorContains(t, err, "4 of 9 shares, and 6 are needed")
			require.ErrorIs(t, dealErr, tenant.ErrTooFewKeepers)
			require.ErrorContains(t, dealErr, "4 of 9 shares, and 6 are needed")
		})
	}
}
