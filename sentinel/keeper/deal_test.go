package keeper

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/secretshare"
)

func TestDealAndReceipt(t *testing.T) {
	w := newWorld(t)
	one, two := w.instance(1), w.instance(2)
	resp, err := w.as(w.client).Deal(t.Context(), w.request(one, two))
	require.NoError(t, err)
	require.Len(t, resp.GetReceipts(), 2)
	for i, d := range []dealt{one, two} {
		digest := instance.ReceiptDigest(chainID, w.owner.Address(), w.vmID, d.wire.GetSeq(), 4, d.record.CommitmentHash, d.record.BundleHash)
		require.True(t, ed25519.Verify(pub(w.id), digest, resp.GetReceipts()[i].GetSignature()))
	}
	// The same again gives the same, also after a restart.
	w.stop()
	w.start()
	again, err := w.as(w.client).Deal(t.Context(), w.request(one, two))
	require.NoError(t, err)
	require.True(t, proto.Equal(resp, again))
}

// What a receipt was signed for is on disk before the signature leaves: the database is closed right after the answer.
func TestReceiptMeansKept(t *testing.T) {
	w := newWorld(t)
	d := w.instance(1)
	require.NoError(t, w.deal(d))
	w.stop()
	w.start()
	w.order(d)
	r, err := w.release(w.miner, 1)
	require.NoError(t, err)
	require.Equal(t, d.wire.GetSealedBundle(), r.GetSealedBundle())
	share, err := d.shares[1].MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, share, r.GetShares())
}

func TestDealRefusesGrants(t *testing.T) {
	w := newWorld(t)
	other := newWallet(t)
	for name, g := range map[string]*grantv1.Grant{
		"none":           nil,
		"other purpose":  w.grant(grant.OwnerRelease),
		"other chain":    w.grant(grant.Deal, func(g *grant.Grant) { g.ChainID = "test-2" }),
		"other vm":       w.grant(grant.Deal, func(g *grant.Grant) { g.VMID = "00112233445566778899aabbccddeeff" }),
		"other keeper":   w.grant(grant.Deal, func(g *grant.Grant) { g.Audience = pub(newKey(t)) }),
		"other client":   w.grant(grant.Deal, func(g *grant.Grant) { g.ClientKey = pub(newKey(t)) }),
		"expired":        w.grant(grant.Deal, func(g *grant.Grant) { g.ExpiresAt = time.Now().Add(-time.Second).Unix() }),
		"endless":        w.grant(grant.Deal, func(g *grant.Grant) { g.ExpiresAt = time.Now().Add(2 * time.Hour).Unix() }),
		"not the signer": func() *grantv1.Grant { g := w.grant(grant.Deal); g.WalletKey = other.PublicKey(); return g }(),
	} {
		r := w.request(w.instance(1))
		r.Grant = g
		_, err := w.as(w.client).Deal(t.Context(), r)
		requireCode(t, err, codes.PermissionDenied, "grant is not accepted")
		require.False(t, w.holds(), name)
	}

	// A good grant used by whoever saw it pass.
	_, err := w.as(newKey(t)).Deal(t.Context(), w.request(w.instance(1)))
	requireCode(t, err, codes.PermissionDenied, "another client key")

	// Another account's own good grant for this owner's VM.
	g, owner := w.owner, w.owner.Address()
	w.owner = other
	stolen := w.grant(grant.Deal)
	w.owner = g
	r := w.request(w.instance(1))
	r.Grant, r.Owner = stolen, owner
	_, err = w.as(w.client).Deal(t.Context(), r)
	requireCode(t, err, codes.PermissionDenied, "not signed by the VM's owner")
}

// A share copied from another's deal opens under no other name.
func TestDealRefusesCopiedShares(t *testing.T) {
	w := newWorld(t)
	d := w.instance(1)
	thief := newWallet(t)
	stolenID, err := vm.NewID(thief.Address(), w.nonce)
	require.NoError(t, err)
	before := *w
	w.owner, w.vmID = thief, stolenID
	_, err = w.as(w.client).Deal(t.Context(), w.request(d))
	requireCode(t, err, codes.InvalidArgument, "not sealed to this keeper for this VM")
	w.owner, w.vmID = before.owner, before.vmID

	owner := w.owner.Address()
	for name, aad := range map[string][]byte{
		"other instance": instance.ShareAAD(chainID, owner, w.vmID, 2, pub(w.id), 4),
		"other keeper":   instance.ShareAAD(chainID, owner, w.vmID, 1, pub(newKey(t)), 4),
		"other epoch":    instance.ShareAAD(chainID, owner, w.vmID, 1, pub(w.id), 3),
		"other chain":    instance.ShareAAD("test-2", owner, w.vmID, 1, pub(w.id), 4),
		"other vm":       instance.ShareAAD(chainID, owner, stolenID, 1, pub(w.id), 4),
	} {
		d := w.instance(1)
		d.wire.SealedShares = w.seal(d.shares[1], aad)
		requireCode(t, w.deal(d), codes.InvalidArgument, "not sealed to this keeper for this VM")
		require.False(t, w.holds(), name)
	}
}

func TestDealRefusesBadShares(t *testing.T) {
	w := newWorld(t)
	aad := instance.ShareAAD(chainID, w.owner.Address(), w.vmID, 1, pub(w.id), 4)

	d, other := w.instance(1), w.instance(1)
	d.wire.SealedShares = w.seal(other.shares[1], aad)
	requireCode(t, w.deal(d), codes.InvalidArgument, "instance 1: share 2 is not part of this secret")

	d = w.instance(1)
	d.wire.SealedShares = w.seal(d.shares[0], aad)
	requireCode(t, w.deal(d), codes.InvalidArgument, "1 shares from 1 on were dealt to this keeper; its are 1 from 2 on")

	d = w.instance(1)
	w.chain.committee.Threshold = 3
	requireCode(t, w.deal(d), codes.InvalidArgument, "threshold of 2; the committee's is 3")
	w.chain.committee.Threshold = 2

	d = w.instance(1)
	d.wire.Commitment = bytes.Repeat([]byte{0xff}, 64)
	requireCode(t, w.deal(d), codes.InvalidArgument, "malformed")

	r := w.request(w.instance(1))
	r.CommitteeEpoch = 3
	_, err := w.as(w.client).Deal(t.Context(), r)
	requireCode(t, err, codes.FailedPrecondition, "epoch 3 takes no deals")

	w.chain.committee.Keepers[1].Identity = pub(newKey(t))
	requireCode(t, w.deal(w.instance(1)), codes.FailedPrecondition, "not in the committee")
	require.False(t, w.holds())
}

func TestDealBounds(t *testing.T) {
	w := newWorld(t)
	for want, change := range map[string]func(*keeperv1.DealRequest){
		"owner":            func(r *keeperv1.DealRequest) { r.Owner = string(bytes.Repeat([]byte{'x'}, 91)) },
		"nonce has 15":     func(r *keeperv1.DealRequest) { r.Nonce = r.Nonce[1:] },
		"1 to 16":          func(r *keeperv1.DealRequest) { r.Instances = nil },
		"instances: 1":     func(r *keeperv1.DealRequest) { r.Instances = make([]*keeperv1.DealtInstance, 17) },
		"sealed_user_data": func(r *keeperv1.DealRequest) { r.SealedUserData = make([]byte, instance.MaxSealedUserData+1) },
		"begin with 1":     func(r *keeperv1.DealRequest) { r.Instances[0].Seq = 0 },
		"each given once":  func(r *keeperv1.DealRequest) { r.Instances = append(r.Instances, r.Instances[0]) },
		"sealed_shares":    func(r *keeperv1.DealRequest) { r.Instances[0].SealedShares = append(r.Instances[0].SealedShares, 0) },
		"sealed_shares:":   func(r *keeperv1.DealRequest) { r.Instances[0].SealedShares = make([]byte, sealbox.Overhead) },
		"1 to 63 sealed": func(r *keeperv1.DealRequest) {
			r.Instances[0].SealedShares = make([]byte, sealbox.Overhead+64*secretshare.ShareSize)
		},
		"commitment: is":   func(r *keeperv1.DealRequest) { r.Instances[0].Commitment = make([]byte, 32*64) },
		"sealed_bundle":    func(r *keeperv1.DealRequest) { r.Instances[0].SealedBundle = make([]byte, instance.MaxSealedBundle+1) },
		"sealed_bundle: 1": func(r *keeperv1.DealRequest) { r.Instances[0].SealedBundle = nil },
	} {
		r := w.request(w.instance(1))
		change(r)
		_, err := w.as(w.client).Deal(t.Context(), r)
		requireCode(t, err, codes.InvalidArgument, want)
		require.False(t, w.holds(), want)
	}
}

func TestDealStorageBound(t *testing.T) {
	w := newWorld(t, func(l *Limits) { l.VMBytes = 3000 })
	require.NoError(t, w.deal(w.instance(1), w.instance(2)))
	requireCode(t, w.deal(w.instance(3), w.instance(4), w.instance(5)), codes.InvalidArgument, "too large together")
	h, _, err := w.keeper.vault.holding(w.vmID)
	require.NoError(t, err)
	require.Len(t, h.Parts, 2, "nothing of a refused deal stays")
	require.NoError(t, w.deal(w.instance(1), w.instance(2)), "replacing does not add up")
}

// A VM that is moved and rebuilt often is dealt on: what no instance needs any more makes room.
func TestUsedInstancesMakeRoom(t *testing.T) {
	w := newWorld(t, func(l *Limits) { l.VMBytes = 3000 })
	var list []dealt
	for seq := uint32(1); seq <= 8; seq++ {
		list = append(list, w.instance(seq))
	}
	require.NoError(t, w.deal(list[:2]...))
	for present := range 6 {
		v := w.order(list[:present+2]...)
		w.chain.mu.Lock()
		v.Status.InstanceSeq = uint32(present + 2)
		w.chain.mu.Unlock()
		require.NoError(t, w.deal(list[present+2]), "instance %d", present+3)
		h, _, err := w.keeper.vault.holding(w.vmID)
		require.NoError(t, err)
		require.Len(t, h.Parts, 2, "the present instance and the next")
		_, err = w.release(w.miner, uint32(present+2))
		require.NoError(t, err)
	}
}

func TestDealOnlyFromThoseWhoCouldCreate(t *testing.T) {
	w := newWorld(t)
	w.chain.poor[w.owner.Address()] = true
	requireCode(t, w.deal(w.instance(1)), codes.PermissionDenied, "not the credits")
	require.False(t, w.holds())
	// For a VM on chain the owner may always top up, however poor.
	d := w.instance(1)
	w.order(d)
	require.NoError(t, w.deal(w.instance(2)))
}

func TestDealQuotas(t *testing.T) {
	w := newWorld(t, func(l *Limits) { l.PendingPerOwner, l.Pending, l.VMs = 2, 3, 4 })
	next := func() error {
		w.nonce = random(16)
		id, err := vm.NewID(w.owner.Address(), w.nonce)
		require.NoError(t, err)
		w.vmID = id
		return w.deal(w.instance(1))
	}
	require.NoError(t, next())
	require.NoError(t, next())
	requireCode(t, next(), codes.ResourceExhausted, "too many VMs dealt and not ordered")
	w.owner = newWallet(t)
	require.NoError(t, next())
	requireCode(t, next(), codes.ResourceExhausted, "all pending places are taken")

	// Ordered VMs are pending no more, yet count as held.
	w.chain.advance(pendingRecheck)
	ids, err := w.keeper.vault.due(w.chain.time, 10)
	require.NoError(t, err)
	require.Len(t, ids, 3)
	for _, id := range ids {
		w.chain.vms[id] = &vm.VM{ID: id}
	}
	require.NoError(t, w.keeper.Sweep(t.Context()))
	require.NoError(t, next())
	requireCode(t, next(), codes.ResourceExhausted, "holds all it can")
	// When they lapse or end there is room again.
	w.chain.advance(10 * time.Minute)
	require.NoError(t, w.keeper.Sweep(t.Context()))
	require.NoError(t, next())
}

func TestDealRate(t *testing.T) {
	w := newWorld(t, func(l *Limits) { l.DealsPerMinute = 3 })
	d := w.instance(1)
	for range 3 {
		require.NoError(t, w.deal(d))
	}
	requireCode(t, w.deal(d), codes.ResourceExhausted, "too often")
}

func TestDealAgain(t *testing.T) {
	w := newWorld(t)
	first, second := w.instance(1), w.instance(1)
	require.NoError(t, w.deal(first))
	require.NoError(t, w.deal(second), "before it is on chain another deal replaces it")
	v := w.order(second)
	requireCode(t, w.deal(first), codes.AlreadyExists, "instance 1 is on chain with other secrets")
	require.NoError(t, w.deal(second), "the same is taken again")
	half := w.instance(1)
	half.wire.Commitment = second.wire.GetCommitment()
	requireCode(t, w.deal(half), codes.AlreadyExists, "other secrets")

	r := w.request(second)
	r.SealedUserData = random(100)
	_, err := w.as(w.client).Deal(t.Context(), r)
	requireCode(t, err, codes.AlreadyExists, "other user data")
	sum := sha256.Sum256(r.GetSealedUserData())
	v.Spec.UserDataHash = sum[:]
	_, err = w.as(w.client).Deal(t.Context(), r)
	require.NoError(t, err)

	v.Status.Phase = vm.Terminated
	requireCode(t, w.deal(second), codes.FailedPrecondition, "terminated")
}

func TestDealNeedsTheChain(t *testing.T) {
	w := newWorld(t)
	w.chain.down = true
	requireCode(t, w.deal(w.instance(1)), codes.Unavailable, "try again")
	require.False(t, w.holds())
}

func TestPaceForgetsTheIdleFirst(t *testing.T) {
	now := time.Now()
	p := newPace(1, func() time.Time { return now })
	for i := range maxPaced {
		require.True(t, p.enter(fmt.Sprint(i)))
	}
	now = now.Add(2 * time.Minute)
	require.True(t, p.enter("busy"))
	require.True(t, p.enter("one more"))
	require.Len(t, p.owners, 2)
	require.False(t, p.enter("busy"), "the allowance stays used")
}
