// Package grants makes and checks the wallet-signed grants that node services
// ask for: that a short-lived client key may act for an account towards one
// party, for one VM, for a short time.
package grants

import (
	"errors"
	"fmt"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/wallet"
)

// Signer is the wallet that grants.
type Signer interface {
	// PublicKey is the compressed secp256k1 key, 33 bytes.
	PublicKey() []byte
	// Sign gives r‖s, 64 bytes, over a SHA-256 digest.
	Sign(digest []byte) ([]byte, error)
}

// ErrInvalid is returned by Verify for whatever is wrong; the sentence with it may be shown to the caller.
var ErrInvalid = errors.New("grant is not accepted")

// Sign makes the grant for the wire.
func Sign(w Signer, g grant.Grant) (*grantv1.Grant, error) {
	sig, err := w.Sign(g.Digest())
	if err != nil {
		return nil, fmt.Errorf("sign grant: %w", err)
	}
	return &grantv1.Grant{
		WalletKey: w.PublicKey(),
		Purpose:   string(g.Purpose),
		ChainId:   g.ChainID,
		VmId:      string(g.VMID),
		Audience:  g.Audience,
		ClientKey: g.ClientKey,
		ExpiresAt: g.ExpiresAt,
		Signature: sig,
	}, nil
}

// Verify checks that the grant is what want says, and signed, and gives the address of the account that signed it.
func Verify(pb *grantv1.Grant, want grant.Want) (owner string, err error) {
	g := grant.Grant{
		Purpose:   grant.Purpose(pb.GetPurpose()),
		ChainID:   pb.GetChainId(),
		VMID:      vm.ID(pb.GetVmId()),
		Audience:  pb.GetAudience(),
		ClientKey: pb.GetClientKey(),
		ExpiresAt: pb.GetExpiresAt(),
	}
	if err := g.Check(want); err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !wallet.Verify(pb.GetWalletKey(), g.Digest(), pb.GetSignature()) {
		return "", fmt.Errorf("%w: its signature is not of its wallet key", ErrInvalid)
	}
	owner, err = wallet.Address(pb.GetWalletKey())
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return owner, nil
}
