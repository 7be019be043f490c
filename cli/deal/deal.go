// Package deal puts the secrets of a VM's instances into the keepers' hands,
// before the VM is ordered: for each instance a secret of its own, shared among
// the committee, and under it the sealed bundle the instance runs with.
package deal

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/secretshare"
)

const (
	// FirstDeal is how many instances a new VM is given.
	FirstDeal = 8
	// TopUpBelow is how few undealt-with instances may be left before more are dealt.
	TopUpBelow = 3
)

// Wallet is the VM's owner.
type Wallet interface {
	Address() string
	PublicKey() []byte
	Sign(digest []byte) ([]byte, error)
}

// Dialer reaches keepers. It returns without connecting; release ends the connection.
type Dialer interface {
	Keeper(k node.Keeper) (client keeperv1.KeeperClient, release func(), err error)
	// Key is the public key the connections prove, 32 bytes.
	Key() ed25519.PublicKey
}

// Dealer deals as one wallet on one chain.
type Dealer struct {
	chainID string
	wallet  Wallet
	dial    Dialer
	now     func() time.Time
	// pause before a keeper that did not answer is asked again.
	pause time.Duration
}

// New makes a dealer. now is the clock grants are dated by.
func New(chainID string, wallet Wallet, dial Dialer, now func() time.Time) *Dealer {
	return &Dealer{chainID: chainID, wallet: wallet, dial: dial, now: now, pause: 300 * time.Millisecond}
}

// Public is what the chain is told of a bundle.
type Public struct {
	// GuestKey is the Ed25519 public key of the bundle's proof key, 32 bytes.
	GuestKey []byte
	// MeshFingerprint is the SHA-256 fingerprint of its mesh certificate, 32 bytes.
	MeshFingerprint []byte
}

// Order is what to deal.
type Order struct {
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
	// Missing names the keepers that did not take their shares, and why. With every one of them the VM has one keeper
	// less to lose: it can be opened as long as Threshold of those with receipts are there.
	Missing []*KeeperError
	// Threshold of the committee.
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

// ErrTooFewKeepers means that fewer keepers than the committee's threshold took their shares, so the VM could never
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
// when at least the committee's threshold of them gave a receipt for every instance. Nothing secret outlives it here.
func (d *Dealer) Deal(ctx context.Context, o Order) (Dealt, error) {
	id, err := vm.NewID(d.wallet.Address(), o.Nonce)
	if err != nil {
		return Dealt{}, err
	}
	if err := o.check(); err != nil {
		return Dealt{}, err
	}
	out := Dealt{VMID: id, Threshold: int(o.Committee.Threshold)}
	parts := make([]*keeperv1.DealRequest, len(o.Committee.Keepers))
	for i := range parts {
		parts[i] = &keeperv1.DealRequest{
			Owner: d.wallet.Address(), Nonce: o.Nonce, CommitteeEpoch: o.Committee.Epoch, SealedUserData: o.UserData.Sealed,
		}
	}
	for i := range o.Count {
		seq := o.First + uint32(i)
		record, shares, err := d.instance(id, seq, o)
		if err != nil {
			return Dealt{}, fmt.Errorf("instance %d: %w", seq, err)
		}
		out.Instances = append(out.Instances, record)
		for k, share := range shares {
			parts[k].Instances = append(parts[k].Instances, share)
		}
	}
	receipts := d.handOut(ctx, id, o.Committee, parts, out.Instances)
	took := 0
	for k, r := range receipts {
		if r.err != nil {
			out.Missing = append(out.Missing, r.err)
			continue
		}
		took++
		for i, sig := range r.signatures {
			out.Instances[i].Receipts = append(out.Instances[i].Receipts,
				vm.Receipt{Keeper: o.Committee.Keepers[k].Identity, Signature: sig})
		}
	}
	if took < out.Threshold {
		errs := []error{fmt.Errorf("%w: %d of %d, and %d are needed", ErrTooFewKeepers, took, len(receipts), out.Threshold)}
		for _, m := range out.Missing {
			errs = append(errs, m)
		}
		return Dealt{}, errors.Join(errs...)
	}
	return out, nil
}

func (o Order) check() error {
	n, t := len(o.Committee.Keepers), int(o.Committee.Threshold)
	switch {
	case o.First == 0:
		return errors.New("deal: the first instance is 1")
	case o.Count < 1 || o.Count > instance.MaxDealt:
		return fmt.Errorf("deal: %d instances; 1 to %d may be dealt at once", o.Count, instance.MaxDealt)
	case n == 0 || n > secretshare.MaxShares || t < 1 || t > n:
		return fmt.Errorf("deal: the chain's keeper committee has %d keepers and a threshold of %d", n, t)
	case len(o.UserData.Sealed) > instance.MaxSealedUserData:
		return fmt.Errorf("deal: sealed user data has %d bytes; at most %d fit", len(o.UserData.Sealed), instance.MaxSealedUserData)
	}
	return nil
}

// instance makes one instance's secret, seals its bundle under it and each share to its keeper.
func (d *Dealer) instance(id vm.ID, seq uint32, o Order) (vm.Instance, []*keeperv1.DealtInstance, error) {
	owner, epoch := d.wallet.Address(), o.Committee.Epoch
	bundle, public, err := o.Bundle(seq)
	if err != nil {
		return vm.Instance{}, nil, err
	}
	bundle.VMID, bundle.Seq, bundle.UserDataKey = id, seq, o.UserData.Key
	plain, err := instance.EncodeBundle(bundle)
	if err != nil {
		return vm.Instance{}, nil, err
	}
	secret, shares, commitment, err := secretshare.Deal(int(o.Committee.Threshold), len(o.Committee.Keepers))
	if err != nil {
		return vm.Instance{}, nil, err
	}
	sealed, err := instance.Seal(rand.Reader, secret[:], instance.LabelBundle, instance.BundleAAD(d.chainID, owner, id, seq), plain)
	if err != nil {
		return vm.Instance{}, nil, err
	}
	rawCommitment, err := commitment.MarshalBinary()
	if err != nil {
		return vm.Instance{}, nil, err
	}
	dealt := make([]*keeperv1.DealtInstance, len(shares))
	for i, k := range o.Committee.Keepers {
		raw, err := shares[i].MarshalBinary()
		if err != nil {
			return vm.Instance{}, nil, err
		}
		box, err := sealbox.Seal(k.HPKEKey, instance.ShareInfo, instance.ShareAAD(d.chainID, owner, id, seq, k.Identity, epoch), raw)
		if err != nil {
			return vm.Instance{}, nil, fmt.Errorf("seal to keeper %s: %w", k.Name, err)
		}
		dealt[i] = &keeperv1.DealtInstance{Seq: seq, SealedShare: box, Commitment: rawCommitment, SealedBundle: sealed}
	}
	commitmentHash, bundleHash := commitment.Hash(), sha256.Sum256(sealed)
	return vm.Instance{
		Seq: seq, CommitmentHash: commitmentHash[:], BundleHash: bundleHash[:],
		GuestKey: public.GuestKey, MeshCertFingerprint: public.MeshFingerprint, CommitteeEpoch: epoch,
	}, dealt, nil
}
