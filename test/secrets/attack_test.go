package secrets

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hippius/compute/api/node/grants"
	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/cli/connect"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/secretshare"
	"github.com/hippius/compute/miner/secrets"
	"github.com/hippius/compute/tenant"
)

// replaying is a keeper that answers for instance 2 with what it has of
// instance 1, on the connections of a miner.
type replaying struct {
	secrets.Dialer
	bad map[string]bool // by keeper's name
}

func (r replaying) Keeper(k node.Keeper) (keeperv1.KeeperClient, func(), error) {
	c, release, err := r.Dialer.Keeper(k)
	if err == nil && r.bad[k.Name] {
		c = replayer{c}
	}
	return c, release, err
}

type replayer struct{ keeperv1.KeeperClient }

func (r replayer) Release(ctx context.Context, in *keeperv1.ReleaseRequest, opts ...grpc.CallOption) (*keeperv1.ReleaseResponse, error) {
	return r.KeeperClient.Release(ctx, &keeperv1.ReleaseRequest{VmId: in.VmId, Seq: 1}, opts...)
}

// held is a VM of three keepers, two of whom open it, at its second instance.
func held(t *testing.T) (n *network, a *party, miner ed25519.PrivateKey) {
	t.Helper()
	miner = newKey(t)
	n = newNetwork(t, 3, miner)
	require.Equal(t, uint32(2), n.committee.Threshold)
	peers, err := connect.NewKeepers()
	require.NoError(t, err)
	a = newParty(t, peers)
	d, err := a.client.Deal(t.Context(), a.order(n, 1, 3, tenant.UserData{}))
	require.NoError(t, err)
	n.order(a.wallet, d, tenant.UserData{}, 2)
	return n, a, miner
}

func release(t *testing.T, n *network, key ed25519.PrivateKey, keeper int, vmID vm.ID, seq uint32) (*keeperv1.ReleaseResponse, error) {
	t.Helper()
	client, done, err := secrets.NewPeers(key).Keeper(n.committee.Keepers[keeper])
	require.NoError(t, err)
	defer done()
	return client.Release(t.Context(), &keeperv1.ReleaseRequest{VmId: string(vmID), Seq: seq})
}

// A VM starts with one of three keepers down, and not with two.
func TestOneOfThreeKeepersDown(t *testing.T) {
	n, a, miner := held(t)
	n.stops[1]()
	got, _, err := n.collector(miner).Collect(t.Context(), a.vmID, 2)
	require.NoError(t, err)
	require.Equal(t, a.made.made[2].DiskKey, got.DiskKey)
	n.stops[2]()
	_, _, err = n.collector(miner).Collect(t.Context(), a.vmID, 2)
	require.ErrorIs(t, err, secrets.ErrTooFew)
	require.ErrorContains(t, err, "1 of 3 shares")
}

// One keeper alone, or a miner with one share, opens nothing, whatever it does with it.
func TestOneShareOpensNothing(t *testing.T) {
	n, a, miner := held(t)
	r, err := release(t, n, miner, 0, a.vmID, 2)
	require.NoError(t, err)
	other, err := release(t, n, miner, 1, a.vmID, 2)
	require.NoError(t, err)
	var commitment secretshare.Commitment
	require.NoError(t, commitment.UnmarshalBinary(r.Commitment))
	share := func(raw []byte) (s secretshare.Share) {
		require.NoError(t, s.UnmarshalBinary(raw))
		return s
	}
	renamed := bytes.Clone(r.Shares)
	renamed[0] = other.Shares[0] // the same value as if it were another keeper's
	for what, shares := range map[string][]secretshare.Share{
		"alone": {share(r.Shares)}, "twice": {share(r.Shares), share(r.Shares)}, "as another's": {share(r.Shares), share(renamed)}, "none": nil,
	} {
		for _, threshold := range []int{0, 1, 2} {
			_, _, err := secretshare.Recover(threshold, shares, commitment)
			require.Error(t, err, "%s, threshold %d", what, threshold)
		}
	}
	aad := instance.BundleAAD(chainID, a.wallet.Address(), a.vmID, 2)
	sum := sha256.Sum256(r.Shares)
	for what, key := range map[string][]byte{
		"the share": r.Shares[1:], "its hash": sum[:], "the commitment": r.Commitment[:32], "nothing": make([]byte, 32),
	} {
		_, err := instance.Open(key, instance.LabelBundle, aad, r.SealedBundle)
		require.Error(t, err, what)
	}
	for _, secret := range [][]byte{a.made.made[2].DiskKey, a.made.made[2].ProofKey, []byte(a.made.made[2].SSHHostKey)} {
		for _, b := range [][]byte{r.Shares, r.Commitment, r.SealedBundle} {
			require.False(t, bytes.Contains(b, secret), "a secret lies open in what one keeper gives")
		}
	}
	// It is the second share that is missing, and nothing else.
	secret, _, err := secretshare.Recover(2, []secretshare.Share{share(r.Shares), share(other.Shares)}, commitment)
	require.NoError(t, err)
	_, err = instance.Open(secret[:], instance.LabelBundle, aad, r.SealedBundle)
	require.NoError(t, err)
	// And the secret of one instance opens no other.
	first, err := release(t, n, miner, 0, a.vmID, 1)
	require.NoError(t, err)
	_, err = instance.Open(secret[:], instance.LabelBundle, instance.BundleAAD(chainID, a.wallet.Address(), a.vmID, 1), first.SealedBundle)
	require.Error(t, err)
}

// A share of an earlier instance is known for what it is, and its keeper named.
func TestShareOfAnEarlierInstance(t *testing.T) {
	n, a, miner := held(t)
	var log lockedLog
	collect := func(bad ...string) (instance.Bundle, error) {
		r := replaying{secrets.NewPeers(miner), map[string]bool{}}
		for _, name := range bad {
			r.bad[name] = true
		}
		got, _, err := secrets.New(secrets.Config{
			ChainID: chainID, Chain: minerView{n}, Dial: r, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Timeout: 5 * time.Second, Pause: 20 * time.Millisecond,
		}).Collect(t.Context(), a.vmID, 2)
		return got, err
	}
	got, err := collect("keeper-0")
	require.NoError(t, err)
	require.Equal(t, a.made.made[2].DiskKey, got.DiskKey)
	_, err = collect("keeper-0", "keeper-2")
	require.ErrorIs(t, err, secrets.ErrTooFew)
	require.ErrorContains(t, err, "keeper keeper-0: gave a commitment the chain does not name")
	require.ErrorContains(t, err, "keeper keeper-2: gave a commitment the chain does not name")
	require.NotContains(t, err.Error(), "keeper-1")
	require.Contains(t, log.String(), "keeper=keeper-2")

	// The shares of two instances do not go together, under either's commitment.
	one, err := release(t, n, miner, 0, a.vmID, 1)
	require.NoError(t, err)
	two, err := release(t, n, miner, 1, a.vmID, 2)
	require.NoError(t, err)
	var old, now secretshare.Share
	require.NoError(t, old.UnmarshalBinary(one.Shares))
	require.NoError(t, now.UnmarshalBinary(two.Shares))
	for _, raw := range [][]byte{one.Commitment, two.Commitment} {
		var c secretshare.Commitment
		require.NoError(t, c.UnmarshalBinary(raw))
		_, _, err := secretshare.Recover(2, []secretshare.Share{old, now}, c)
		require.Error(t, err)
	}
}

// recording keeps what a tenant's dealer sends.
type recording struct {
	*connect.Keepers
	mu   *sync.Mutex
	sent map[string]*keeperv1.DealRequest // by keeper's name
}

func (r recording) Keeper(k node.Keeper) (keeperv1.KeeperClient, func(), error) {
	c, release, err := r.Keepers.Keeper(k)
	return recorder{c, r, k.Name}, release, err
}

type recorder struct {
	keeperv1.KeeperClient
	r    recording
	name string
}

func (r recorder) Deal(ctx context.Context, in *keeperv1.DealRequest, opts ...grpc.CallOption) (*keeperv1.DealResponse, error) {
	r.r.mu.Lock()
	r.r.sent[r.name] = proto.CloneOf(in)
	r.r.mu.Unlock()
	return r.KeeperClient.Deal(ctx, in, opts...)
}

// What a tenant dealt, seen by a third party to the last byte, is of no use
// under another VM's name: not to deal it, nor to have it released.
func TestReplayUnderAnotherName(t *testing.T) {
	minerKey := newKey(t)
	n := newNetwork(t, 3, minerKey)
	peers, err := connect.NewKeepers()
	require.NoError(t, err)
	seen := recording{peers, &sync.Mutex{}, map[string]*keeperv1.DealRequest{}}
	a := newParty(t, seen)
	d, err := a.client.Deal(t.Context(), a.order(n, 1, 2, tenant.UserData{}))
	require.NoError(t, err)
	n.order(a.wallet, d, tenant.UserData{}, 1)
	v := n.find(a.vmID)
	v.Status.Miner = "miner-2" // another's: the thief runs miner-1

	thiefPeers, err := connect.NewKeepers()
	require.NoError(t, err)
	thief := newParty(t, thiefPeers)
	for i, k := range n.committee.Keepers {
		r := proto.CloneOf(seen.sent[k.Name])
		require.NotNil(t, r)
		client, done, err := thiefPeers.Keeper(k)
		require.NoError(t, err)
		deal := func(r *keeperv1.DealRequest, vmID vm.ID) error {
			g, err := grants.Sign(thief.wallet, grant.Grant{
				Purpose: grant.Deal, ChainID: chainID, VMID: vmID, Audience: k.Identity, ClientKey: thiefPeers.Key(),
				ExpiresAt: time.Now().Add(time.Minute).Unix(),
			})
			require.NoError(t, err)
			r.Grant = g
			_, err = client.Deal(t.Context(), r)
			return err
		}
		// As it was, grant and all, from another's connection.
		_, err = client.Deal(t.Context(), proto.CloneOf(r))
		require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
		// With a grant of the thief's own.
		require.Equal(t, codes.PermissionDenied, status.Code(deal(proto.CloneOf(r), a.vmID)))
		// As the thief's VM.
		mine := proto.CloneOf(r)
		mine.Owner, mine.Nonce = thief.wallet.Address(), thief.nonce
		err = deal(mine, thief.vmID)
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
		require.ErrorContains(t, err, "not sealed to this keeper for this VM")
		// To another keeper.
		other, otherDone, err := thiefPeers.Keeper(n.committee.Keepers[(i+1)%3])
		require.NoError(t, err)
		_, err = other.Deal(t.Context(), mine)
		require.Error(t, err)
		otherDone()
		done()
	}

	// The thief's VM, which the thief's miner holds, names the stolen deal on chain.
	n.mu.Lock()
	n.vms[thief.vmID] = &vm.VM{
		ID: thief.vmID, Owner: thief.wallet.Address(), Spec: vm.Spec{}, Instances: d.Instances,
		Status: vm.Status{Phase: vm.Running, Miner: "miner-1", InstanceSeq: 1},
	}
	n.mu.Unlock()
	for i := range n.committee.Keepers {
		_, err := release(t, n, minerKey, i, thief.vmID, 1)
		require.Equal(t, codes.NotFound, status.Code(err), "%v", err)
		_, err = release(t, n, minerKey, i, a.vmID, 1)
		require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
		_, err = release(t, n, minerKey, i, vm.ID(fmt.Sprintf("%032x", 7)), 1)
		require.Equal(t, codes.NotFound, status.Code(err), "%v", err)
	}
	// The holder, too, has no more than the instance the VM is at.
	v.Status.Miner = "miner-1"
	for i := range n.committee.Keepers {
		_, err := release(t, n, minerKey, i, a.vmID, 2)
		require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
		_, err = release(t, n, minerKey, i, a.vmID, 1)
		require.NoError(t, err)
	}
}

// lockedLog is a log that several may write to.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
