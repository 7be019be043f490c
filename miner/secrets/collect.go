// Package secrets fetches the bundle of a VM's instance from the keepers. It
// believes nobody but the chain: every share is verified against the commitment
// the chain names, the bundle against its hash, the proof key inside against
// the guest key. Nothing of it is written to disk here.
package secrets

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/secretshare"
)

// Chain tells what to expect of the keepers.
type Chain interface {
	VM(ctx context.Context, id vm.ID) (vm.VM, error)
	// CommitteeOf an epoch, present or former.
	CommitteeOf(ctx context.Context, epoch uint64) (node.Committee, error)
}

// Dialer reaches keepers under the miner's own identity. It returns without connecting; release lets go of what it gave.
type Dialer interface {
	Keeper(k node.Keeper) (client keeperv1.KeeperClient, release func(), err error)
}

// Errors of Collect. Each may pass with time but ErrInconsistent.
var (
	// ErrTooFew: the keepers gave fewer good shares than are needed.
	ErrTooFew = errors.New("too few keepers gave their shares")
	// ErrNoInstance: the chain names no such instance.
	ErrNoInstance = errors.New("the chain names no such instance")
	// ErrInconsistent: what the tenant dealt does not fit together, so the instance can never run.
	ErrInconsistent = errors.New("the instance's secrets do not fit together")
)

// Config of a Collector. The durations have defaults.
type Config struct {
	ChainID string
	Chain   Chain
	Dial    Dialer
	Log     *slog.Logger
	// Call bounds one call to one keeper (10 s); Timeout is how long keepers that are not ready, as one whose chain
	// node is a block behind, are asked again (15 s), every Pause (250 ms).
	Call, Timeout, Pause time.Duration
}

// maxRefusal bounds what is kept of a keeper's words, in bytes.
const maxRefusal = 300

// Collector asks keepers. It is safe for concurrent use.
type Collector struct{ set Config }

// New makes a collector.
func New(set Config) *Collector {
	if set.Call <= 0 {
		set.Call = 10 * time.Second
	}
	if set.Timeout <= 0 {
		set.Timeout = 15 * time.Second
	}
	if set.Pause <= 0 {
		set.Pause = 250 * time.Millisecond
	}
	return &Collector{set: set}
}

// answer of one keeper: its verified shares with what lay beside them, or why not.
type answer struct {
	keeper   node.Keeper
	shares   []secretshare.Share
	bundle   []byte // nil if it is not the one the chain names
	userData []byte
	// mismatch says what beside the share is not as the chain names it.
	mismatch string
	err      error
}

// Collect gives the bundle of instance seq and the VM's user data, nil if it has none. It asks all keepers at once and
// blocks until enough answered well, or Config.Timeout is over.
func (c *Collector) Collect(ctx context.Context, id vm.ID, seq uint32) (instance.Bundle, []byte, error) {
	none := instance.Bundle{}
	v, err := c.set.Chain.VM(ctx, id)
	if err != nil {
		return none, nil, fmt.Errorf("collect secrets of VM %s: %w", id, err)
	}
	want, ok := v.Instance(seq)
	if !ok {
		return none, nil, fmt.Errorf("collect secrets of VM %s instance %d: %w", id, seq, ErrNoInstance)
	}
	// Whom it was dealt to, who may not be the present keepers.
	committee, err := c.set.Chain.CommitteeOf(ctx, want.CommitteeEpoch)
	if err != nil {
		return none, nil, fmt.Errorf("collect secrets of VM %s: %w", id, err)
	}
	got, err := c.ask(ctx, v, want, committee)
	if err != nil {
		return none, nil, fmt.Errorf("collect secrets of VM %s instance %d: %w", id, seq, err)
	}
	bundle, userData, err := c.open(v, want, got)
	if err != nil {
		return none, nil, fmt.Errorf("collect secrets of VM %s instance %d: %w", id, seq, err)
	}
	return bundle, userData, nil
}

// haul is what good answers came to.
type haul struct {
	commitment secretshare.Commitment
	shares     []secretshare.Share
	bundle     []byte
	userData   []byte
}

// enough says that the instance can be opened.
func (h *haul) enough(v vm.VM) bool {
	return len(h.shares) > 0 && len(h.shares) >= h.commitment.Threshold() && h.bundle != nil &&
		(h.userData != nil || len(v.Spec.UserDataHash) == 0)
}

// ask asks all keepers at once, those that are not ready again and again, and returns as soon as there is enough.
func (c *Collector) ask(ctx context.Context, v vm.VM, want vm.Instance, committee node.Committee) (*haul, error) {
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithTimeout(ctx, c.set.Timeout)
	defer cancel() // before the wait: calls under way end at once
	type reply struct {
		answer
		commitment secretshare.Commitment
	}
	replies := make(chan reply, len(committee.Keepers))
	for _, k := range committee.Keepers {
		asking.Go(func() {
			a, commitment := c.askOne(ctx, v, want, k)
			replies <- reply{a, commitment} // has room
		})
	}
	h := &haul{}
	seen := map[int]bool{}
	var errs []error
	for range committee.Keepers {
		r := <-replies
		if r.err != nil {
			errs = append(errs, fmt.Errorf("keeper %s: %w", name(r.keeper), r.err))
			c.set.Log.Warn("keeper sent no valid shares", "keeper", name(r.keeper), "vm_id", v.ID, "instance_seq", want.Seq, "error", r.err)
			continue
		}
		h.commitment = r.commitment
		for _, s := range r.shares {
			if !seen[s.ID()] {
				seen[s.ID()] = true
				h.shares = append(h.shares, s)
			}
		}
		if r.mismatch != "" {
			c.set.Log.Warn("keeper sent valid shares, but other data does not match the chain", "keeper", name(r.keeper), "vm_id", v.ID, "instance_seq", want.Seq, "error", r.mismatch)
		}
		if h.bundle == nil {
			h.bundle = r.bundle
		}
		if h.userData == nil {
			h.userData = r.userData
		}
		if h.enough(v) {
			return h, nil
		}
	}
	return nil, errors.Join(append([]error{fmt.Errorf("%w: %d of %d shares, and %d are needed", ErrTooFew, len(h.shares), committee.Shares(), committee.Threshold)}, errs...)...)
}

// askOne asks one keeper until it answers well or badly, but not while it only cannot yet.
func (c *Collector) askOne(ctx context.Context, v vm.VM, want vm.Instance, k node.Keeper) (answer, secretshare.Commitment) {
	client, release, err := c.set.Dial.Keeper(k)
	if err != nil {
		return answer{keeper: k, err: err}, secretshare.Commitment{}
	}
	defer release()
	var said error
	for {
		r, err := c.call(ctx, client, v.ID, want.Seq)
		if err == nil {
			return check(k, r, v, want)
		}
		if said == nil || ctx.Err() == nil {
			said = err // not that the time was over in the middle of a call: what the keeper last answered
		}
		t := time.NewTimer(c.set.Pause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if !later(err) || ctx.Err() != nil {
			return answer{keeper: k, err: errors.New(text.Clean(status.Convert(said).Message(), maxRefusal))}, secretshare.Commitment{}
		}
	}
}

func (c *Collector) call(ctx context.Context, client keeperv1.KeeperClient, id vm.ID, seq uint32) (*keeperv1.ReleaseResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, c.set.Call)
	defer cancel()
	return client.Release(ctx, &keeperv1.ReleaseRequest{VmId: string(id), Seq: seq})
}

// later says that the keeper may answer otherwise soon: its chain node may be behind ours in anything it
// refused for.
func later(err error) bool {
	return slices.Contains([]codes.Code{
		codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.FailedPrecondition, codes.PermissionDenied, codes.NotFound,
	}, status.Code(err))
}

// check verifies an answer against what the chain names.
func check(k node.Keeper, r *keeperv1.ReleaseResponse, v vm.VM, want vm.Instance) (answer, secretshare.Commitment) {
	a := answer{keeper: k}
	var commitment secretshare.Commitment
	if !bytes.Equal(sum(r.GetCommitment()), want.CommitmentHash) {
		a.err = errors.New("gave a commitment the chain does not name")
		return a, commitment
	}
	if a.err = commitment.UnmarshalBinary(r.GetCommitment()); a.err != nil {
		return a, commitment
	}
	if a.shares, a.err = secretshare.UnmarshalShares(r.GetShares()); a.err != nil {
		return a, commitment
	}
	if a.err = secretshare.VerifyAll(a.shares, commitment); a.err != nil {
		return a, commitment
	}
	if b := r.GetSealedBundle(); bytes.Equal(sum(b), want.BundleHash) {
		a.bundle = b
	} else {
		a.mismatch = "sealed bundle"
	}
	if u := r.GetSealedUserData(); len(u) > 0 && bytes.Equal(sum(u), v.Spec.UserDataHash) {
		a.userData = u
	} else if len(v.Spec.UserDataHash) > 0 {
		a.mismatch = strings.TrimPrefix(a.mismatch+", sealed user data", ", ")
	}
	return a, commitment
}

// open recovers the secret and opens bundle and user data with it.
func (c *Collector) open(v vm.VM, want vm.Instance, h *haul) (instance.Bundle, []byte, error) {
	none := instance.Bundle{}
	secret, _, err := secretshare.Recover(h.commitment.Threshold(), h.shares, h.commitment)
	if err != nil {
		return none, nil, err
	}
	id, owner, seq := v.ID, v.Owner, want.Seq
	plain, err := instance.Open(secret[:], instance.LabelBundle, instance.BundleAAD(c.set.ChainID, owner, id, seq), h.bundle)
	if err != nil {
		return none, nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	bundle, err := instance.DecodeBundle(plain, id, seq)
	if err != nil {
		return none, nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	guest := ed25519.NewKeyFromSeed(bundle.ProofKey)
	if !bytes.Equal(guest[ed25519.SeedSize:], want.GuestKey) {
		return none, nil, fmt.Errorf("%w: the proof key is not of the guest key on chain", ErrInconsistent)
	}
	if h.userData == nil {
		return bundle, nil, nil
	}
	userData, err := instance.Open(bundle.UserDataKey, instance.LabelUserData, instance.UserDataAAD(c.set.ChainID, owner, id), h.userData)
	if err != nil {
		return none, nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	return bundle, userData, nil
}

func name(k node.Keeper) string {
	return cmp.Or(k.Name, k.Operator)
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}
