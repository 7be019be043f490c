package keeper

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/grant"
)

// FuzzKeeper: whatever strangers ask of a keeper, it answers with a refusal,
// takes nothing in keeping that its owner did not deal, and gives nothing away.
func FuzzKeeper(f *testing.F) {
	w := newWorld(f, func(l *Limits) { l.DealsPerMinute = 1 << 30 })
	kept := w.instance(1)
	if err := w.deal(kept); err != nil {
		f.Fatal(err)
	}
	w.order(kept)
	owner, stranger := w.as(w.client), w.as(newKey(f))
	ask := &keeperv1.OwnerReleaseRequest{Grant: w.grant(grant.OwnerRelease), VmId: w.vmID, Seq: 1}
	for _, m := range []proto.Message{
		w.request(kept), w.request(w.instance(2)), ask,
		&keeperv1.ReleaseRequest{VmId: w.vmID, Seq: 1}, &keeperv1.LogRequest{Grant: w.grant(grant.OwnerRelease), VmId: w.vmID},
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
		ctx := t.Context()
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
			_, err := stranger.Deal(ctx, &deal)
			check("a stranger's deal", err, false)
			_, err = owner.Deal(ctx, &deal)
			check("the owner's deal", err, true)
			if err == nil && deal.GetOwner() != w.owner.Address() {
				t.Errorf("taken for %q", deal.GetOwner())
			}
		}
		var release keeperv1.ReleaseRequest
		if proto.Unmarshal(raw, &release) == nil {
			_, err := stranger.Release(ctx, &release)
			check("a stranger's release", err, false)
		}
		var mine keeperv1.OwnerReleaseRequest
		if proto.Unmarshal(raw, &mine) == nil {
			_, err := stranger.OwnerRelease(ctx, &mine)
			check("a stranger's release as owner", err, false)
			r, err := owner.OwnerRelease(ctx, &mine)
			check("the owner's release", err, true)
			if err == nil && mine.GetSeq() == 1 && !bytes.Equal(r.GetShare(), share) {
				t.Error("another share was put in the place of the one on chain")
			}
		}
		var log keeperv1.LogRequest
		if proto.Unmarshal(raw, &log) == nil {
			_, err := stranger.Log(ctx, &log)
			check("a stranger's log", err, false)
		}
	})
}
