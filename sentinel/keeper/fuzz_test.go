package keeper

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/internal/peer"
)

// catcher keeps what its last caller proved.
type catcher struct {
	keeperv1.UnimplementedKeeperServer
	caught chan *grpcpeer.Peer
}

func (c catcher) Log(ctx context.Context, _ *keeperv1.LogRequest) (*keeperv1.LogResponse, error) {
	p, _ := grpcpeer.FromContext(ctx)
	c.caught <- p
	return &keeperv1.LogResponse{}, nil
}

// proven makes one call under a key and gives what the server has of the
// caller: a fuzzer's calls are then spared the network.
func proven(t testing.TB, key ed25519.PrivateKey) *grpcpeer.Peer {
	t.Helper()
	id := newKey(t)
	s, c := peer.NewServer(id), catcher{caught: make(chan *grpcpeer.Peer, 1)}
	keeperv1.RegisterKeeperServer(s, c)
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's listener
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := peer.NewClient(l.Addr().String(), key, pub(id))
	require.NoError(t, err)
	_, err = keeperv1.NewKeeperClient(conn).Log(t.Context(), &keeperv1.LogRequest{})
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	s.Stop()
	require.NoError(t, <-done)
	return <-c.caught
}

// FuzzKeeper: whatever strangers ask of a keeper, it answers with a refusal,
// takes nothing in keeping that its owner did not deal, and gives nothing away.
func FuzzKeeper(f *testing.F) {
	w := newWorld(f, func(l *Limits) { l.DealsPerMinute = 1 << 30 })
	kept := w.instance(1)
	if err := w.deal(kept); err != nil {
		f.Fatal(err)
	}
	w.order(kept)
	owner, stranger := proven(f, w.client), proven(f, newKey(f))
	ask := &keeperv1.OwnerReleaseRequest{Grant: w.grant(grant.OwnerRelease), VmId: string(w.vmID), Seq: 1}
	for _, m := range []proto.Message{
		w.request(kept), w.request(w.instance(2)), ask,
		&keeperv1.ReleaseRequest{VmId: string(w.vmID), Seq: 1}, &keeperv1.LogRequest{Grant: w.grant(grant.OwnerRelease), VmId: string(w.vmID)},
	} {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	answers := []codes.Code{
		codes.OK, codes.InvalidArgument, codes.PermissionDenied, codes.NotFound, codes.FailedPrecondition, codes.AlreadyExists,
		codes.ResourceExhausted,
	}
	share, err := kept.shares[1].MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		asOwner, asStranger := grpcpeer.NewContext(t.Context(), owner), grpcpeer.NewContext(t.Context(), stranger)
		check := func(what string, err error, may bool) {
			if c := status.Code(err); !slices.Contains(answers, c) {
				t.Errorf("%s: %v", what, err)
			}
			if err == nil && !may {
				t.Errorf("%s was granted", what)
			}
		}
		var deal keeperv1.DealRequest
		if proto.Unmarshal(raw, &deal) == nil {
			_, err := w.keeper.Deal(asStranger, &deal)
			check("a stranger's deal", err, false)
			_, err = w.keeper.Deal(asOwner, &deal)
			check("the owner's deal", err, true)
			if err == nil && deal.GetOwner() != w.owner.Address() {
				t.Errorf("taken for %q", deal.GetOwner())
			}
		}
		var release keeperv1.ReleaseRequest
		if proto.Unmarshal(raw, &release) == nil {
			_, err := w.keeper.Release(asStranger, &release)
			check("a stranger's release", err, false)
		}
		var mine keeperv1.OwnerReleaseRequest
		if proto.Unmarshal(raw, &mine) == nil {
			_, err := w.keeper.OwnerRelease(asStranger, &mine)
			check("a stranger's release as owner", err, false)
			r, err := w.keeper.OwnerRelease(asOwner, &mine)
			check("the owner's release", err, true)
			if err == nil && mine.GetSeq() == 1 && !bytes.Equal(r.GetShares(), share) {
				t.Error("another share was put in the place of the one on chain")
			}
		}
		var log keeperv1.LogRequest
		if proto.Unmarshal(raw, &log) == nil {
			_, err := w.keeper.Log(asStranger, &log)
			check("a stranger's log", err, false)
		}
	})
}
