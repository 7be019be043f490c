package keeper

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
)

func TestReleaseToTheMinerOnly(t *testing.T) {
	w := newWorld(t)
	d := w.instance(1)
	require.NoError(t, w.deal(d))
	_, err := w.release(w.miner, 1)
	requireCode(t, err, codes.NotFound, "knows no such VM")
	v := w.order(d)

	_, err = w.release(newKey(t), 1)
	requireCode(t, err, codes.PermissionDenied, "not held by this miner")
	_, err = w.release(w.client, 1)
	requireCode(t, err, codes.PermissionDenied, "not held by this miner")
	_, err = w.release(w.miner, 1)
	require.NoError(t, err)

	// The VM moves: the old miner gets nothing more, the new one only once it reported.
	next := newKey(t)
	w.chain.miners["miner-2"] = node.Miner{Operator: "miner-2", Offer: node.Offer{Identity: pub(next)}}
	v.Status.Miner, v.Status.Phase, v.Status.InstanceSeq = "miner-2", vm.Assigned, 2
	_, err = w.release(w.miner, 1)
	requireCode(t, err, codes.PermissionDenied, "not held by this miner")
	_, err = w.release(next, 1)
	requireCode(t, err, codes.FailedPrecondition, "phase assigned")
	v.Status.Phase = vm.Provisioning
	_, err = w.release(next, 1)
	require.NoError(t, err)

	// Held by nobody.
	v.Status.Miner = ""
	_, err = w.release(next, 1)
	requireCode(t, err, codes.PermissionDenied, "not held by this miner")

	// A miner without an identity on chain is not anybody's.
	v.Status.Miner = "miner-3"
	w.chain.miners["miner-3"] = node.Miner{Operator: "miner-3"}
	_, err = w.release(next, 1)
	requireCode(t, err, codes.PermissionDenied, "not held by this miner")
}

func TestReleaseByPhase(t *testing.T) {
	w := newWorld(t)
	d := w.instance(1)
	require.NoError(t, w.deal(d))
	v := w.order(d)
	given := map[vm.Phase]bool{
		vm.Provisioning: true, vm.Running: true, vm.Rebooting: true,
		vm.Stopping: true, vm.Stopped: true,
	}
	for _, p := range append(vm.Phases(), 0) {
		v.Status.Phase = p
		_, err := w.release(w.miner, 1)
		if given[p] {
			require.NoError(t, err, p)
		} else {
			requireCode(t, err, codes.FailedPrecondition, p.String())
		}
	}
}

func TestReleaseUpToTheCurrentInstance(t *testing.T) {
	w := newWorld(t)
	one, two, three := w.instance(1), w.instance(2), w.instance(3)
	require.NoError(t, w.deal(one, two, three))
	v := w.order(one, two)
	_, err := w.release(w.miner, 2)
	requireCode(t, err, codes.PermissionDenied, "instance 2 is not yet; the VM is at 1")
	v.Status.InstanceSeq = 3
	for _, seq := range []uint32{1, 2} {
		_, err = w.release(w.miner, seq)
		require.NoError(t, err, "earlier ones too")
	}
	_, err = w.release(w.miner, 3)
	requireCode(t, err, codes.NotFound, "knows no instance 3")
	_, err = w.release(w.miner, 0)
	requireCode(t, err, codes.InvalidArgument, "begin with 1")
	v.Instances = append(v.Instances, w.instance(4).record)
	v.Status.InstanceSeq = 4
	_, err = w.release(w.miner, 4)
	requireCode(t, err, codes.NotFound, "holds nothing of instance 4")
	_, err = w.as(w.miner).Release(t.Context(), &keeperv1.ReleaseRequest{VmId: "../../etc", Seq: 1})
	requireCode(t, err, codes.InvalidArgument, "VM id")
}

// A deal that the chain does not name is not given, even if the VM and the number fit.
func TestReleaseOnlyWhatTheChainNames(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.deal(w.instance(1)))
	w.order(w.instance(1))
	_, err := w.release(w.miner, 1)
	requireCode(t, err, codes.FailedPrecondition, "another deal of instance 1")
}

func TestReleaseNeedsTheChain(t *testing.T) {
	w := newWorld(t)
	d := w.instance(1)
	require.NoError(t, w.deal(d))
	w.order(d)
	w.chain.down = true
	_, err := w.release(w.miner, 1)
	requireCode(t, err, codes.Unavailable, "try again")
}

func TestReleaseGivesUserData(t *testing.T) {
	w := newWorld(t)
	d := w.instance(1)
	r := w.request(d)
	r.SealedUserData = random(100)
	_, err := w.as(w.client).Deal(t.Context(), r)
	require.NoError(t, err)
	v := w.order(d)
	sum := sha256.Sum256(r.GetSealedUserData())
	v.Spec.UserDataHash = sum[:]
	got, err := w.release(w.miner, 1)
	require.NoError(t, err)
	require.Equal(t, r.GetSealedUserData(), got.GetSealedUserData())
}

func TestOwnerRelease(t *testing.T) {
	w := newWorld(t)
	d := w.instance(1)
	require.NoError(t, w.deal(d))
	ask := func(g *grantv1.Grant) (*keeperv1.ReleaseResponse, error) {
		return w.as(w.client).OwnerRelease(t.Context(), &keeperv1.OwnerReleaseRequest{Grant: g, VmId: string(w.vmID), Seq: 1})
	}
	got, err := ask(w.grant(grant.OwnerRelease))
	require.NoError(t, err)
	want, err := d.shares[1].MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, want, got.GetShares())

	for name, g := range map[string]*grantv1.Grant{
		"none":         nil,
		"for dealing":  w.grant(grant.Deal),
		"other keeper": w.grant(grant.OwnerRelease, func(g *grant.Grant) { g.Audience = pub(newKey(t)) }),
		"other client": w.grant(grant.OwnerRelease, func(g *grant.Grant) { g.ClientKey = pub(newKey(t)) }),
		"expired":      w.grant(grant.OwnerRelease, func(g *grant.Grant) { g.ExpiresAt = time.Now().Add(-time.Second).Unix() }),
	} {
		_, err = ask(g)
		requireCode(t, err, codes.PermissionDenied, "grant is not accepted")
		require.ErrorContains(t, err, "grant", name)
	}
	owner := w.owner
	w.owner = newWallet(t)
	_, err = ask(w.grant(grant.OwnerRelease))
	requireCode(t, err, codes.PermissionDenied, "not signed by the VM's owner")
	w.owner = owner

	// Both kinds of release are in the log, which only the owner reads.
	w.order(d)
	_, err = w.release(w.miner, 1)
	require.NoError(t, err)
	log, err := w.as(w.client).Log(t.Context(), &keeperv1.LogRequest{Grant: w.grant(grant.OwnerRelease), VmId: string(w.vmID)})
	require.NoError(t, err)
	require.Len(t, log.GetEntries(), 2)
	require.Equal(t, roleOwner, log.GetEntries()[0].GetRole())
	require.Equal(t, roleMiner, log.GetEntries()[1].GetRole())
	require.Equal(t, []byte(pub(w.miner)), log.GetEntries()[1].GetTo())
	_, err = w.as(w.miner).Log(t.Context(), &keeperv1.LogRequest{Grant: w.grant(grant.OwnerRelease), VmId: string(w.vmID)})
	requireCode(t, err, codes.PermissionDenied, "another client key")
}

func TestLogCannotBeFlooded(t *testing.T) {
	var log []released
	log = note(log, released{At: 1, Seq: 1, To: []byte("m1"), Role: roleMiner})
	for i := range int64(10 * maxLog) { // a miner alternates, the owner uses a new key each time
		log = note(log, released{At: 10 + i, Seq: uint32(1 + i%2), To: []byte("m2"), Role: roleMiner})
		log = note(log, released{At: 10 + i, Seq: 1, To: random(8), Role: roleOwner})
	}
	require.Len(t, log, maxLog)
	require.Equal(t, released{At: 1, Seq: 1, To: []byte("m1"), Role: roleMiner}, log[0])
	var ofM2 []int64
	for _, e := range log {
		if string(e.To) == "m2" {
			ofM2 = append(ofM2, e.At)
		}
	}
	require.ElementsMatch(t, []int64{10, 11, 10 + 10*maxLog - 2, 10 + 10*maxLog - 1}, ofM2, "the first and the last of each")
}
