package vm

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
)

// A guest proof is the signature of an instance's guest key over a recent
// block's hash: whoever held the key was running when that block was known.

// Proof shows that an instance's guest was alive when a block was new.
type Proof struct {
	// Height of the block whose hash is signed.
	Height int64 `json:"height"`
	// Signature of the instance's guest key, 64 bytes.
	Signature []byte `json:"signature"`
}

// Head is a block that a guest may sign, the newest a node has.
type Head struct {
	Height int64  `json:"height"`
	Hash   []byte `json:"hash"`
	// Time of the block, unix seconds.
	Time int64 `json:"time"`
}

// ProofDigest is what a guest signs: a hash over chain, VM, instance and block.
func ProofDigest(chainID string, id ID, instanceSeq uint32, height int64, blockHash []byte) []byte {
	h := sha256.New()
	h.Write([]byte("hippius/guest-proof/v1\x00"))
	writeField(h, []byte(chainID))
	writeField(h, []byte(id))
	var n [12]byte
	binary.BigEndian.PutUint32(n[:4], instanceSeq)
	binary.BigEndian.PutUint64(n[4:], uint64(height))
	h.Write(n[:])
	writeField(h, blockHash)
	return h.Sum(nil)
}

// SignProof signs as the guest of one instance.
func SignProof(key ed25519.PrivateKey, chainID string, id ID, instanceSeq uint32, height int64, blockHash []byte) []byte {
	return ed25519.Sign(key, ProofDigest(chainID, id, instanceSeq, height, blockHash))
}

// VerifyProof reports whether sig is the guest key's signature over the block.
func VerifyProof(guestKey ed25519.PublicKey, chainID string, id ID, instanceSeq uint32, height int64, blockHash, sig []byte) bool {
	if len(guestKey) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
		return false
	}
	return ed25519.Verify(guestKey, ProofDigest(chainID, id, instanceSeq, height, blockHash), sig)
}
