package wallet

import (
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

const (
	// SignatureSize of r‖s, in bytes.
	SignatureSize = 64
	digestSize    = 32
)

// Sign signs a SHA-256 digest (32 bytes): r‖s, 64 bytes, s in the lower half, deterministic (RFC 6979).
func (w *Wallet) Sign(digest []byte) ([]byte, error) {
	if len(digest) != digestSize {
		return nil, fmt.Errorf("digest to sign has %d bytes, want %d", len(digest), digestSize)
	}
	sig := ecdsa.Sign(w.key, digest)
	r, s := sig.R(), sig.S()
	out := make([]byte, SignatureSize)
	r.PutBytesUnchecked(out[:32])
	s.PutBytesUnchecked(out[32:])
	return out, nil
}

// Verify reports whether sig is the signature of digest by the compressed key pub. A signature with s in the upper
// half, which anybody could make of a good one, is not accepted.
func Verify(pub, digest, sig []byte) bool {
	if len(pub) != secp256k1.PubKeyBytesLenCompressed || len(digest) != digestSize || len(sig) != SignatureSize {
		return false
	}
	key, err := secp256k1.ParsePubKey(pub)
	if err != nil {
		return false
	}
	var r, s secp256k1.ModNScalar
	if r.SetByteSlice(sig[:32]) || s.SetByteSlice(sig[32:]) || r.IsZero() || s.IsZero() || s.IsOverHalfOrder() {
		return false
	}
	return ecdsa.NewSignature(&r, &s).Verify(digest, key)
}
