package tenant

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/secretshare"
)

const (
	// FirstDeal is how many instances a new VM is given, and one that has few left.
	FirstDeal = 8
	// topUpBelow is how few instances may be ahead before more are dealt: a VM needs one each time it is moved.
	topUpBelow = 3
)

// Public is what the chain is told of a bundle.
type Public struct {
	// GuestKey is the Ed25519 public key of the bundle's proof key, 32 bytes.
	GuestKey []byte
	// MeshFingerprint is the SHA-256 fingerprint of its mesh certificate, 32 bytes.
	MeshFingerprint []byte
}

// Deal is the instances of one VM whose secrets the keepers are to take: for each a secret of its own, shared among the
// committee, and under it the sealed bundle that the instance runs with.
type Deal struct {
	// Nonce of the VM, 16 bytes; with the owner it gives the id.
	Nonce []byte
	// First instance's number, 1 for a new VM, and how many, 1 to 16.
	First uint32
	Count int
	// Committee to deal to, as the chain has it now.
	Committee node.Committee
	// Bundle makes the secrets of one instance.
	Bundle func(seq uint32) (instance.Bundle, Public, error)
	// UserData sealed by SealUserData; the zero value for none.
	UserData UserData
}

// Dealt is what goes on chain.
type Dealt struct {
	VMID      vm.ID
	Instances []vm.Instance
	// Missing names the keepers that did not take their shares, and why. With every one of them the VM has its shares
	// less to lose: it can be opened as long as keepers with Threshold shares of those with receipts are there.
	Missing []*KeeperError
	// Threshold of the committee, in shares.
	Threshold int
}

// KeeperError is why one keeper gave no receipts.
type KeeperError struct {
	Name string
	Err  error
}

func (e *KeeperError) Error() string { return fmt.Sprintf("keeper %s: %v", e.Name, e.Err) }

// Unwrap gives the cause.
func (e *KeeperError) Unwrap() error { return e.Err }

// ErrTooFewKeepers means that keepers with fewer shares than the committee's threshold took them, so the VM could never
// be opened. Dealing again is safe.
var ErrTooFewKeepers = errors.New("too few keepers took their shares")

// UserData is cloud-init user data sealed under a key that each instance's bundle carries.
type UserData struct {
	Key    []byte
	Sealed []byte
}

// Hash is the SHA-256 for the VM's spec; nil without user data.
func (u UserData) Hash() []byte {
	if len(u.Sealed) == 0 {
		return nil
	}
	sum := sha256.Sum256(u.Sealed)
	return sum[:]
}

// SealUserData seals user data, at most 32 KiB, for one VM under its key of 32 bytes; empty data gives the zero value.
func SealUserData(chainID, owner string, id vm.ID, key, data []byte) (UserData, error) {
	switch {
	case len(data) == 0:
		return UserData{}, nil
	case len(data) > instance.MaxUserData:
		return UserData{}, fmt.Errorf("user data has %d bytes; at most %d are accepted", len(data), instance.MaxUserData)
	}
	sealed, err := instance.Seal(rand.Reader, key, instance.LabelUserData, instance.UserDataAAD(chainID, owner, id), data)
	if err != nil {
		return UserData{}, err
	}
	return UserData{Key: key, Sealed: sealed}, nil
}

// Deal makes the secrets and gives every keeper its shares. It blocks until all have answered or failed, and succeeds
// when keepers with the committee's threshold of shares gave a receipt for every instance. Nothing secret outlives it here.
func (c *Client) Deal(ctx context.Context, d Deal) (Dealt, error) {
	id, err := vm.NewID(c.set.Wallet.Address(), d.Nonce)
	if err != nil {
		return Dealt{}, err
	}
	if err := d.check(); err != nil {
		return Dealt{}, err
	}
	out := Dealt{VMID: id, Threshold: int(d.Committee.Threshold)}
	parts := make([]*keeperv1.DealRequest, len(d.Committee.Keepers))
	for i := range parts {
		parts[i] = &keeperv1.DealRequest{
			Owner: c.set.Wallet.Address(), Nonce: d.Nonce, CommitteeEpoch: d.Committee.Epoch, SealedUserData: d.UserData.Sealed,
		}
	}
	for i := range d.Count {
		seq := d.First + uint32(i)
		record, shares, err := c.instance(id, seq, d)
		if err != nil {
			return Dealt{}, fmt.Errorf("instance %d: %w", seq, err)
		}
		out.Instances = append(out.Instances, record)
		for k, dealt := range shares {
			parts[k].Instances = append(parts[k].Instances, dealt)
		}
	}
	receipts := c.handOut(ctx, id, d.Committee, parts, out.Instances)
	took := 0
	for k, r := range receipts {
		if r.err != nil {
			out.Missing = append(out.Missing, r.err)
			continue
		}
		took += d.Committee.Keepers[k].Shares
		for i, sig := range r.signatures {
			out.Instances[i].Receipts = append(out.Instances[i].Receipts,
				vm.Receipt{Keeper: d.Committee.Keepers[k].Identity, Signature: sig})
		}
	}
	if took < out.Threshold {
		errs := []error{fmt.Errorf("%w: %d of %d shares, and %d are needed", ErrTooFewKeepers, took, d.Committee.Shares(), out.Threshold)}
		for _, m := range out.Missing {
			errs = append(errs, m)
		}
		return Dealt{}, errors.Join(errs...)
	}
	return out, nil
}

func (d Deal) check() error {
	switch {
	case d.First == 0:
		return errors.New("deal: the first instance is 1")
	case d.Count < 1 || d.Count > instance.MaxDealt:
		return fmt.Errorf("deal: %d instances; 1 to %d may be dealt at once", d.Count, instance.MaxDealt)
	case len(d.Committee.Keepers) == 0:
		return errors.New("deal: the chain's keeper committee has no keepers yet")
	case len(d.UserData.Sealed) > instance.MaxSealedUserData:
		return fmt.Errorf("deal: sealed user data has %d bytes; at most %d fit", len(d.UserData.Sealed), instance.MaxSealedUserData)
	}
	if err := d.Committee.Validate(); err != nil {
		return fmt.Errorf("deal: the chain's keeper committee: %w", err)
	}
	return nil
}

// instance makes one instance's secret, seals its bundle under it and to each keeper its shares.
func (c *Client) instance(id vm.ID, seq uint32, d Deal) (vm.Instance, []*keeperv1.DealtInstance, error) {
	owner, epoch := c.set.Wallet.Address(), d.Committee.Epoch
	bundle, public, err := d.Bundle(seq)
	if err != nil {
		return vm.Instance{}, nil, err
	}
	bundle.VMID, bundle.Seq, bundle.UserDataKey = id, seq, d.UserData.Key
	plain, err := instance.EncodeBundle(bundle)
	if err != nil {
		return vm.Instance{}, nil, err
	}
	secret, shares, commitment, err := secretshare.Deal(int(d.Committee.Threshold), d.Committee.Shares())
	if err != nil {
		return vm.Instance{}, nil, err
	}
	sealed, err := instance.Seal(rand.Reader, secret[:], instance.LabelBundle, instance.BundleAAD(c.set.ChainID, owner, id, seq), plain)
	if err != nil {
		return vm.Instance{}, nil, err
	}
	rawCommitment, err := commitment.MarshalBinary()
	if err != nil {
		return vm.Instance{}, nil, err
	}
	dealt := make([]*keeperv1.DealtInstance, len(d.Committee.Keepers))
	for i, k := range d.Committee.Keepers {
		raw, err := secretshare.MarshalShares(shares[:k.Shares])
		if err != nil {
			return vm.Instance{}, nil, err
		}
		shares = shares[k.Shares:]
		box, err := sealbox.Seal(k.HPKEKey, instance.ShareInfo, instance.ShareAAD(c.set.ChainID, owner, id, seq, k.Identity, epoch), raw)
		if err != nil {
			return vm.Instance{}, nil, fmt.Errorf("seal to keeper %s: %w", k.Name, err)
		}
		dealt[i] = &keeperv1.DealtInstance{Seq: seq, SealedShares: box, Commitment: rawCommitment, SealedBundle: sealed}
	}
	commitmentHash, bundleHash := commitment.Hash(), sha256.Sum256(sealed)
	return vm.Instance{
		Seq: seq, CommitmentHash: commitmentHash[:], BundleHash: bundleHash[:],
		GuestKey: public.GuestKey, MeshCertFingerprint: public.MeshFingerprint, CommitteeEpoch: epoch,
	}, dealt, nil
}
