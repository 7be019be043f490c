package keeper

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	"github.com/hippius/compute/api/node/grants"
	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/committee"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/secretshare"
)

const (
	// maxOwner bounds an address in text.
	maxOwner = 90
	// dealAttempts bounds how often room is made for one deal: others may take it first.
	dealAttempts = 3
)

// Deal takes a VM's instances in keeping and gives a receipt for each once it is on disk. The same deal again gives
// the same receipts; another deal replaces it while the chain does not name it. Neither makes a VM that is not ordered
// wait longer for its order: a receipt leaves Limits.OrderWithin at least, and what has less left is refused.
func (k *Keeper) Deal(ctx context.Context, r *keeperv1.DealRequest) (*keeperv1.DealResponse, error) {
	from, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkDeal(r); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	id, err := vm.NewID(r.GetOwner(), r.GetNonce())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := k.granted(r.GetGrant(), grant.Deal, id, from, r.GetOwner()); err != nil {
		return nil, err
	}
	known, ok := k.owners.allow(r.GetOwner())
	if !ok {
		return nil, errTooOften()
	}
	// An owner that is not known yet is given a place once the chain says that it may deal.
	enter := sync.OnceValue(func() bool { return known || k.owners.enter(r.GetOwner()) })
	for range dealAttempts {
		var out *keeperv1.DealResponse
		if out, err = k.deal(ctx, id, r, enter); err == nil {
			return out, nil
		}
		freed, roomErr := k.room(ctx, r.GetOwner(), err)
		if roomErr != nil {
			return nil, roomErr
		}
		if !freed {
			break
		}
	}
	return nil, k.refusal(id, err)
}

func errTooOften() error {
	return status.Error(codes.ResourceExhausted, "the account deals too often: wait a minute")
}

// refusal is what the caller is told of a deal that was not taken.
func (k *Keeper) refusal(id vm.ID, err error) error {
	var ends endsError
	switch {
	case errors.Is(err, errUncovered): // an order just made may not be on this keeper's node yet
		return status.Error(codes.Unavailable, err.Error())
	case errors.Is(err, errFull), errors.Is(err, errPending), errors.Is(err, errOwnerPending):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.As(err, &ends):
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.Is(err, errVMBytes):
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if _, told := status.FromError(err); told {
		return err
	}
	return k.broken("deal", id, err)
}

// deal takes the instances once, with what the chain says now. The error is the caller's, or one of the vault's.
func (k *Keeper) deal(ctx context.Context, id vm.ID, r *keeperv1.DealRequest, enter func() bool) (*keeperv1.DealResponse, error) {
	unlock, err := k.locks.Lock(ctx, id)
	if err != nil {
		return nil, status.FromContextError(err).Err()
	}
	defer unlock()
	known, ordered, covered, err := k.mayDeal(ctx, id, r)
	if err != nil {
		return nil, err
	}
	if !enter() {
		return nil, errTooOften()
	}
	at, err := k.set.Chain.Time(ctx)
	if err != nil {
		return nil, k.chainDown("time", err)
	}
	members, found, err := k.set.Chain.CommitteeOf(ctx, r.GetCommitteeEpoch())
	if err != nil {
		return nil, k.chainDown("committee", err)
	}
	if !found || !members.TakesDeals(at.Unix()) {
		return nil, status.Errorf(codes.FailedPrecondition, "the keeper committee of epoch %d takes no deals: ask the chain and deal anew", r.GetCommitteeEpoch())
	}
	d, err := k.open(id, r, members, known, ordered)
	if err != nil {
		return nil, err
	}
	d.at, d.covered = at, covered
	if err := k.vault.take(d); err != nil {
		return nil, err
	}
	return k.receipts(r, d), nil
}

// checkDeal bounds every field before anything is computed.
func checkDeal(r *keeperv1.DealRequest) error {
	switch n := len(r.GetInstances()); {
	case r.GetOwner() == "" || len(r.GetOwner()) > maxOwner:
		return errors.New("owner: give a bech32 address")
	case n < 1 || n > instance.MaxDealt:
		return errors.New("instances: 1 to 16 are accepted at once")
	case len(r.GetSealedUserData()) > instance.MaxSealedUserData:
		return errors.New("sealed_user_data: at most 32 KiB and the seal's overhead")
	}
	seen := map[uint32]bool{}
	for _, i := range r.GetInstances() {
		switch {
		case i.GetSeq() == 0 || seen[i.GetSeq()]:
			return errors.New("instances: numbers begin with 1 and are each given once")
		case !sealedShares(len(i.GetSealedShares())):
			return errors.New("sealed_shares: has not the length of 1 to 63 sealed shares")
		case len(i.GetCommitment()) > 32*committee.MaxShares:
			return errors.New("commitment: is too long")
		case len(i.GetSealedBundle()) == 0 || len(i.GetSealedBundle()) > instance.MaxSealedBundle:
			return errors.New("sealed_bundle: 1 byte to 10 KiB and the seal's overhead")
		}
		seen[i.GetSeq()] = true
	}
	return nil
}

// sealedShares says that so many bytes may be the sealed shares of one keeper.
func sealedShares(n int) bool {
	n -= sealbox.Overhead
	return n > 0 && n%secretshare.ShareSize == 0 && n <= committee.MaxShares*secretshare.ShareSize
}

// granted checks that owner's wallet let this caller do this here, now.
func (k *Keeper) granted(g *grantv1.Grant, purpose grant.Purpose, id vm.ID, from ed25519.PublicKey, owner string) error {
	signer, err := grants.Verify(g, grant.Want{
		Purpose: purpose, ChainID: k.set.ChainID, VMID: id, Audience: k.me, ClientKey: from, Now: k.set.Now(),
	})
	if err != nil {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	if signer != owner {
		return status.Error(codes.PermissionDenied, "the grant is not signed by the VM's owner")
	}
	return nil
}

// mayDeal asks the chain whether the owner may deal for this VM, and gives the VM if it was ordered already. Otherwise
// it gives how many pending VMs the owner's balance covers.
func (k *Keeper) mayDeal(ctx context.Context, id vm.ID, r *keeperv1.DealRequest) (v vm.VM, ordered bool, covered int, err error) {
	v, ordered, err = k.set.Chain.VM(ctx, id)
	if err != nil {
		return v, false, 0, k.chainDown("vm", err)
	}
	if ordered {
		return v, true, 0, mayAdd(v, r)
	}
	covered, err = k.set.Chain.MayCreate(ctx, r.GetOwner())
	if err != nil {
		return v, false, 0, k.chainDown("may create", err)
	}
	if covered < 1 {
		return v, false, 0, status.Error(codes.PermissionDenied, "the account has not the credits to create a VM")
	}
	return v, false, max(covered, k.set.Limits.Uncovered), nil
}

// mayAdd says whether the deal may be taken for a VM that is on chain.
func mayAdd(v vm.VM, r *keeperv1.DealRequest) error {
	if v.Owner != r.GetOwner() {
		return status.Error(codes.PermissionDenied, "the VM is another account's")
	}
	if v.Status.Phase.Final() {
		return status.Error(codes.FailedPrecondition, "the VM is terminated")
	}
	for _, i := range r.GetInstances() {
		if on, ok := v.Instance(i.GetSeq()); ok && !names(on, hash(i.GetCommitment()), hash(i.GetSealedBundle())) {
			return status.Errorf(codes.AlreadyExists, "instance %d is on chain with other secrets", i.GetSeq())
		}
	}
	if u := r.GetSealedUserData(); len(u) > 0 && !bytes.Equal(hash(u), v.Spec.UserDataHash) {
		return status.Error(codes.AlreadyExists, "the VM is on chain with other user data")
	}
	return nil
}

// open opens the shares of each instance and checks that they are all of this keeper's and fit their commitment.
func (k *Keeper) open(id vm.ID, r *keeperv1.DealRequest, c node.Committee, known vm.VM, ordered bool) (deal, error) {
	d := deal{
		vmID: id, owner: r.GetOwner(), onChain: ordered, present: known.Status.InstanceSeq, userData: r.GetSealedUserData(),
		parts: map[uint32]part{}, bundles: map[uint32][]byte{},
	}
	me, first, ok := c.Holder(k.me)
	if !ok {
		return d, status.Error(codes.FailedPrecondition, "this keeper is not in the committee: ask the chain and deal anew")
	}
	for _, i := range r.GetInstances() {
		_, named := known.Instance(i.GetSeq())
		shares, commitment, err := k.openShares(id, r.GetOwner(), i.GetSeq(), c.Epoch, i.GetSealedShares(), i.GetCommitment())
		switch {
		case err != nil:
			return d, status.Errorf(codes.InvalidArgument, "instance %d: %v", i.GetSeq(), err)
		case len(shares) != me.Shares || shares[0].ID() != first || shares[len(shares)-1].ID() != first+me.Shares-1:
			return d, status.Errorf(codes.InvalidArgument, "instance %d: %d shares from %d on were dealt to this keeper; its are %d from %d on",
				i.GetSeq(), len(shares), shares[0].ID(), me.Shares, first)
		case commitment.Threshold() != int(c.Threshold):
			return d, status.Errorf(codes.InvalidArgument, "instance %d: shared with a threshold of %d; the committee's is %d", i.GetSeq(), commitment.Threshold(), c.Threshold)
		}
		d.parts[i.GetSeq()] = part{
			SealedShares: i.GetSealedShares(), Commitment: i.GetCommitment(),
			CommitmentHash: hash(i.GetCommitment()), BundleHash: hash(i.GetSealedBundle()),
			Epoch: c.Epoch, BundleBytes: len(i.GetSealedBundle()), OnChain: named,
		}
		d.bundles[i.GetSeq()] = i.GetSealedBundle()
	}
	return d, nil
}

// openShares opens the shares sealed to this keeper for this very place, and verifies each against their commitment.
func (k *Keeper) openShares(id vm.ID, owner string, seq uint32, epoch uint64, box, rawCommitment []byte) ([]secretshare.Share, secretshare.Commitment, error) {
	var commitment secretshare.Commitment
	if err := commitment.UnmarshalBinary(rawCommitment); err != nil {
		return nil, commitment, err
	}
	raw, err := k.set.Sealing.Open(instance.ShareInfo, instance.ShareAAD(k.set.ChainID, owner, id, seq, k.me, epoch), box)
	if err != nil {
		return nil, commitment, errors.New("the shares are not sealed to this keeper for this VM and instance")
	}
	shares, err := secretshare.UnmarshalShares(raw)
	if err != nil {
		return nil, commitment, err
	}
	return shares, commitment, secretshare.VerifyAll(shares, commitment)
}

func (k *Keeper) receipts(r *keeperv1.DealRequest, d deal) *keeperv1.DealResponse {
	out := &keeperv1.DealResponse{}
	for _, i := range r.GetInstances() {
		p := d.parts[i.GetSeq()]
		digest := instance.ReceiptDigest(k.set.ChainID, d.owner, d.vmID, i.GetSeq(), p.Epoch, p.CommitmentHash, p.BundleHash)
		out.Receipts = append(out.Receipts, &keeperv1.Receipt{Seq: i.GetSeq(), Signature: ed25519.Sign(k.set.Identity, digest)})
	}
	return out
}

// names says that the chain's record is of this very deal.
func names(i vm.Instance, commitmentHash, bundleHash []byte) bool {
	return bytes.Equal(i.CommitmentHash, commitmentHash) && bytes.Equal(i.BundleHash, bundleHash)
}

func hash(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
