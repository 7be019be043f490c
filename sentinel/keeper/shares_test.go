package keeper

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/hippius/compute/core/committee"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/secretshare"
	"github.com/hippius/compute/internal/store"
)

// several gives the keeper three of six shares, the second to the fourth; four open a secret.
func several(w *world) {
	for i, n := range []int{1, 3, 2} {
		w.chain.committee.Keepers[i].Shares = n
	}
	w.chain.committee.Threshold = 4
}

// A keeper of several shares takes all of them or none, and releases all.
func TestSeveralShares(t *testing.T) {
	w := newWorld(t)
	several(w)
	d := w.instance(1)
	aad := instance.ShareAAD(chainID, w.owner.Address(), w.vmID, 1, pub(w.id), 4)
	_, others, _, err := secretshare.Deal(4, 6)
	require.NoError(t, err)
	for want, shares := range map[string][]secretshare.Share{
		"2 shares from 2 on were dealt to this keeper; its are 3 from 2 on": d.shares[1:3],
		"4 shares from 2 on were dealt":                                     d.shares[1:5],
		"3 shares from 1 on were dealt":                                     d.shares[:3],
		"3 shares from 3 on were dealt":                                     d.shares[2:5],
		"share 4 is not part of this secret":                                {d.shares[1], d.shares[2], others[3]},
	} {
		bad := d
		bad.wire.SealedShares = w.sealAll(shares, aad)
		requireCode(t, w.deal(bad), codes.InvalidArgument, want)
		require.False(t, w.holds())
	}

	d.wire.SealedShares = w.sealAll(d.shares[1:4], aad)
	require.NoError(t, w.deal(d))
	w.order(d)
	r, err := w.release(w.miner, 1)
	require.NoError(t, err)
	got, err := secretshare.UnmarshalShares(r.GetShares())
	require.NoError(t, err)
	require.Len(t, got, 3)
	var c secretshare.Commitment
	require.NoError(t, c.UnmarshalBinary(r.GetCommitment()))
	_, _, err = secretshare.Recover(4, got, c)
	require.ErrorIs(t, err, secretshare.ErrTooFew)
	secret, _, err := secretshare.Recover(4, append(got, d.shares[0]), c)
	require.NoError(t, err)
	require.Equal(t, d.secret, secret)
}

// A former committee takes deals until its time is over.
func TestFormerCommitteeTakesDeals(t *testing.T) {
	w := newWorld(t)
	now := w.chain.time.Unix()
	w.chain.committee.DealsUntil = now + 600
	require.NoError(t, w.deal(w.instance(1)))
	w.chain.committee.DealsUntil = now
	requireCode(t, w.deal(w.instance(1)), codes.FailedPrecondition, "epoch 4 takes no deals")
}

// What a keeper took when each had one share of a secret is in the database in the form of that time, and opens.
func TestStoredSingleShareOpens(t *testing.T) {
	w := newWorld(t)
	d := w.instance(1)
	h := fmt.Sprintf(`{"owner":%q,"pending":false,"dealt_at":1,"check_at":1,"parts":{"1":{"sealed_share":%q,"commitment":%q,`+
		`"commitment_hash":%q,"bundle_hash":%q,"epoch":4,"bundle_bytes":%d,"dealt_at":1,"on_chain":true}}}`,
		w.owner.Address(), base64.StdEncoding.EncodeToString(d.wire.GetSealedShares()), base64.StdEncoding.EncodeToString(d.wire.GetCommitment()),
		base64.StdEncoding.EncodeToString(d.record.CommitmentHash), base64.StdEncoding.EncodeToString(d.record.BundleHash), len(d.wire.GetSealedBundle()))
	require.NoError(t, w.db.Update(func(tx *store.Tx) error {
		if err := store.NewBucket[json.RawMessage]("keeper_vms").Put(tx, string(w.vmID), json.RawMessage(h)); err != nil {
			return err
		}
		return w.keeper.vault.bundles.Put(tx, bundleKey(w.vmID, 1), d.wire.GetSealedBundle())
	}))
	several(w) // the committee of today is no matter
	w.order(d)
	r, err := w.release(w.miner, 1)
	require.NoError(t, err)
	want, err := d.shares[1].MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, want, r.GetShares())
	require.Equal(t, d.wire.GetSealedBundle(), r.GetSealedBundle())
}

// The most shares of one keeper fit into what it holds for a VM, with eight of the largest bundles and user data.
func TestLimitsFitAllShares(t *testing.T) {
	instances := 8 * (instance.MaxSealedBundle + committee.MaxShares*secretshare.ShareSize + sealbox.Overhead + 32*committee.Threshold(committee.MaxShares))
	require.LessOrEqual(t, instances+instance.MaxSealedUserData, DefaultLimits().VMBytes)
}
