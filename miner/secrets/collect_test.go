package secrets

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/secretshare"
)

const (
	chainID = "test-1"
	vmID    = "00112233445566778899aabbccddeeff"
	owner   = "hip1owner"
	// dealtIn is the epoch the instance was dealt in.
	dealtIn = 7
)

// committee of three with threshold two, and the chain that names what they hold.
type committee struct {
	vm      vm.VM
	bundle  instance.Bundle
	answers []*keeperv1.ReleaseResponse
	// does is what each keeper does instead of answering; nil for answering.
	does [3]func(ctx context.Context, r *keeperv1.ReleaseResponse) (*keeperv1.ReleaseResponse, error)
}

func (c *committee) VM(context.Context, vm.ID) (vm.VM, error) { return c.vm, nil }

func (c *committee) CommitteeOf(_ context.Context, epoch uint64) (node.Committee, error) {
	if epoch != dealtIn {
		return node.Committee{}, errors.New("another committee than the one it was dealt to")
	}
	out := node.Committee{Epoch: epoch, Threshold: 2}
	for i := range c.does {
		out.Keepers = append(out.Keepers, node.Keeper{Name: fmt.Sprint("keeper-", i), Shares: 1})
	}
	return out, nil
}

func (c *committee) Keeper(k node.Keeper) (keeperv1.KeeperClient, func(), error) {
	for i := range c.does {
		if k.Name == fmt.Sprint("keeper-", i) {
			return oneKeeper{c: c, i: i}, func() {}, nil
		}
	}
	return nil, nil, errors.New("nobody there")
}

type oneKeeper struct {
	keeperv1.KeeperClient
	c *committee
	i int
}

func (o oneKeeper) Release(ctx context.Context, r *keeperv1.ReleaseRequest, _ ...grpc.CallOption) (*keeperv1.ReleaseResponse, error) {
	if r.GetVmId() != vmID || r.GetSeq() != 1 {
		return nil, status.Error(codes.NotFound, "not held")
	}
	a := o.c.answers[o.i]
	if do := o.c.does[o.i]; do != nil {
		return do(ctx, &keeperv1.ReleaseResponse{
			Shares: a.GetShares(), Commitment: a.GetCommitment(), SealedBundle: a.GetSealedBundle(), SealedUserData: a.GetSealedUserData(),
		})
	}
	return a, nil
}

// newCommittee deals instance 1 with user data; change alters the bundle before it is sealed.
func newCommittee(t *testing.T, change func(*instance.Bundle)) *committee {
	t.Helper()
	secret, shares, commitment, err := secretshare.Deal(2, 3)
	require.NoError(t, err)
	rawC, err := commitment.MarshalBinary()
	require.NoError(t, err)
	c := &committee{bundle: instance.Bundle{
		Version: 1, VMID: vmID, Seq: 1, ProofKey: key(), DiskKey: key(), CheckpointKey: key(), UserDataKey: key(),
		MeshCA: "ca", MeshCert: "cert", MeshKey: "key", SSHHostKey: "host key", SSHHostCert: "host cert",
	}}
	guest := ed25519.NewKeyFromSeed(c.bundle.ProofKey)
	userData, err := instance.Seal(rand.Reader, c.bundle.UserDataKey, instance.LabelUserData, instance.UserDataAAD(chainID, owner, vmID), []byte("hello"))
	require.NoError(t, err)
	if change != nil {
		change(&c.bundle)
	}
	plain, err := instance.EncodeBundle(c.bundle)
	require.NoError(t, err)
	sealed, err := instance.Seal(rand.Reader, secret[:], instance.LabelBundle, instance.BundleAAD(chainID, owner, vmID, 1), plain)
	require.NoError(t, err)
	c.vm = vm.VM{
		ID: vmID, Owner: owner, Spec: vm.Spec{UserDataHash: sum(userData)},
		Instances: []vm.Instance{{Seq: 1, CommitmentHash: sum(rawC), BundleHash: sum(sealed), GuestKey: guest[ed25519.SeedSize:], CommitteeEpoch: dealtIn}},
	}
	for _, s := range shares {
		raw, err := s.MarshalBinary()
		require.NoError(t, err)
		c.answers = append(c.answers, &keeperv1.ReleaseResponse{Shares: raw, Commitment: rawC, SealedBundle: sealed, SealedUserData: userData})
	}
	return c
}

func (c *committee) collect(ctx context.Context) (instance.Bundle, []byte, error) {
	return c.collectInto(ctx, io.Discard)
}

func (c *committee) collectInto(ctx context.Context, log io.Writer) (instance.Bundle, []byte, error) {
	return New(Config{ChainID: chainID, Chain: c, Dial: c, Log: slog.New(slog.NewTextHandler(log, nil))}).Collect(ctx, vmID, 1)
}

func TestOneBadKeeperIsNamedAndDoesNoHarm(t *testing.T) {
	other := newCommittee(t, nil)
	type answer = keeperv1.ReleaseResponse
	change := func(fn func(*answer)) func(*answer) error {
		return func(r *answer) error {
			fn(r)
			return nil
		}
	}
	for name, bad := range map[string]func(*answer) error{
		"another secret's share": change(func(r *answer) { r.Shares = other.answers[0].GetShares() }),
		"another secret altogether": change(func(r *answer) {
			r.Shares, r.Commitment = other.answers[0].GetShares(), other.answers[0].GetCommitment()
		}),
		"an altered share": change(func(r *answer) {
			r.Shares = bytes.Clone(r.GetShares())
			r.Shares[1] ^= 1
		}),
		"no share":                   change(func(r *answer) { r.Shares = nil }),
		"no commitment":              change(func(r *answer) { r.Commitment = nil }),
		"an altered bundle":          change(func(r *answer) { r.SealedBundle = r.GetSealedBundle()[1:] }),
		"no bundle and no user data": change(func(r *answer) { r.SealedBundle, r.SealedUserData = nil, nil }),
		"other user data":            change(func(r *answer) { r.SealedUserData = other.answers[0].GetSealedUserData() }),
		"that it does not want to":   func(*answer) error { return status.Error(codes.Internal, "no\x1b[2J\nlevel=ERROR") },
		"an answer that never comes": func(*answer) error { return status.Error(codes.Unavailable, "asleep") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCommittee(t, nil)
				c.does[0] = func(_ context.Context, r *answer) (*answer, error) { return r, bad(r) }
				// The good ones answer later, so that the bad one is always heard first.
				for i := 1; i < 3; i++ {
					c.does[i] = func(_ context.Context, r *answer) (*answer, error) {
						time.Sleep(time.Second)
						return r, nil
					}
				}
				var log bytes.Buffer
				got, userData, err := c.collectInto(t.Context(), &log)
				require.NoError(t, err)
				require.Equal(t, c.bundle, got)
				require.Equal(t, "hello", string(userData))
				if name != "an answer that never comes" { // nobody waits for it
					require.Contains(t, log.String(), "keeper=keeper-0", "the bad one is named")
				}
				require.NotContains(t, log.String(), "keeper=keeper-1")
				require.NotContains(t, log.String(), "keeper=keeper-2")
				require.Equal(t, strings.Count(log.String(), "level="), strings.Count(log.String(), "\n")+strings.Count(log.String(), "level=ERROR"), "a keeper forged a line")
				for _, a := range c.answers {
					require.NotContains(t, log.String(), fmt.Sprintf("%x", a.GetShares()[1:]), "a share in the log")
				}
			})
		})
	}
}

func TestTwoBadKeepersAreTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other := newCommittee(t, nil), newCommittee(t, nil)
		for i := range 2 {
			c.does[i] = func(_ context.Context, r *keeperv1.ReleaseResponse) (*keeperv1.ReleaseResponse, error) {
				r.Shares = other.answers[i].GetShares()
				return r, nil
			}
		}
		_, _, err := c.collect(t.Context())
		require.ErrorIs(t, err, ErrTooFew)
		require.ErrorContains(t, err, "1 of 3 shares, and 2 are needed")
		require.ErrorContains(t, err, "keeper keeper-0: share 1 is not part of this secret")
		require.ErrorContains(t, err, "keeper keeper-1: share 2 is not part of this secret")
	})
}

// A keeper's several shares all count: with two of three it opens the instance alone.
func TestSeveralSharesOfOneKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommittee(t, nil)
		for i := 1; i < 3; i++ {
			c.does[i] = func(context.Context, *keeperv1.ReleaseResponse) (*keeperv1.ReleaseResponse, error) {
				return nil, status.Error(codes.Internal, "broken")
			}
		}
		_, _, err := c.collect(t.Context())
		require.ErrorIs(t, err, ErrTooFew)
		c.answers[0].Shares = append(bytes.Clone(c.answers[0].GetShares()), c.answers[1].GetShares()...)
		got, _, err := c.collect(t.Context())
		require.NoError(t, err)
		require.Equal(t, c.bundle, got)
		c.answers[0].Shares = append(bytes.Clone(c.answers[1].GetShares()), c.answers[0].GetShares()...)
		_, _, err = c.collect(t.Context())
		require.ErrorContains(t, err, "number 1 follows 2")
	})
}

// The same share from two keepers is one share.
func TestCopiedShareCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommittee(t, nil)
		c.does[1] = func(context.Context, *keeperv1.ReleaseResponse) (*keeperv1.ReleaseResponse, error) {
			return c.answers[0], nil
		}
		c.does[2] = c.does[1]
		_, _, err := c.collect(t.Context())
		require.ErrorIs(t, err, ErrTooFew)
	})
}

func TestNotReadyIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommittee(t, nil)
		start := time.Now()
		for i := range c.does {
			c.does[i] = func(_ context.Context, r *keeperv1.ReleaseResponse) (*keeperv1.ReleaseResponse, error) {
				if time.Since(start) < 5*time.Second {
					return nil, status.Error(codes.FailedPrecondition, "assigned")
				}
				return r, nil
			}
		}
		_, _, err := c.collect(t.Context())
		require.NoError(t, err)
		require.Less(t, time.Since(start), 6*time.Second)

		start = time.Now().Add(time.Hour)
		_, _, err = c.collect(t.Context())
		require.ErrorIs(t, err, ErrTooFew)
		require.Less(t, time.Since(start), -time.Hour+20*time.Second, "the timeout ends it")
	})
}

func TestInconsistentDeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]*committee{
			"another guest key":     newCommittee(t, func(b *instance.Bundle) { b.ProofKey = key() }),
			"another instance":      newCommittee(t, func(b *instance.Bundle) { b.Seq = 2 }),
			"another VM":            newCommittee(t, func(b *instance.Bundle) { b.VMID = "ffffffffffffffffffffffffffffffff" }),
			"another user data key": newCommittee(t, func(b *instance.Bundle) { b.UserDataKey = key() }),
			"no user data key":      newCommittee(t, func(b *instance.Bundle) { b.UserDataKey = nil }),
		} {
			_, _, err := c.collect(t.Context())
			require.ErrorIs(t, err, ErrInconsistent, name)
		}
		// Sealed for another owner's VM of the same id.
		c := newCommittee(t, nil)
		c.vm.Owner = "hip1thief"
		_, _, err := c.collect(t.Context())
		require.ErrorIs(t, err, ErrInconsistent)
	})
}

func TestNoUserData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommittee(t, func(b *instance.Bundle) { b.UserDataKey = nil })
		c.vm.Spec.UserDataHash = nil
		got, userData, err := c.collect(t.Context())
		require.NoError(t, err)
		require.Nil(t, userData, "what keepers add of their own is not taken")
		require.Equal(t, c.bundle, got)
		_, _, err = New(Config{ChainID: chainID, Chain: c, Dial: c, Log: slog.New(slog.DiscardHandler)}).Collect(t.Context(), vmID, 2)
		require.ErrorIs(t, err, ErrNoInstance)
	})
}

func key() []byte {
	b := make([]byte, instance.KeySize)
	_, _ = rand.Read(b) // never fails
	return b
}

// What a keeper said counts, not that the time was over while it was asked once more.
func TestRefusalOutlivesTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommittee(t, nil)
		for i := range c.does {
			asked := false
			c.does[i] = func(ctx context.Context, _ *keeperv1.ReleaseResponse) (*keeperv1.ReleaseResponse, error) {
				if !asked {
					asked = true
					return nil, status.Error(codes.PermissionDenied, "not held by this miner")
				}
				<-ctx.Done()
				return nil, status.FromContextError(ctx.Err()).Err()
			}
		}
		_, _, err := New(Config{ChainID: chainID, Chain: c, Dial: c, Log: slog.New(slog.DiscardHandler), Timeout: time.Second}).Collect(t.Context(), vmID, 1)
		require.ErrorIs(t, err, ErrTooFew)
		require.ErrorContains(t, err, "keeper keeper-0: not held by this miner")
		require.NotContains(t, err.Error(), "deadline")
	})
}
