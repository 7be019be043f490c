package vm

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
)

// A guest proof is the signature of an instance's guest key over a recent
// block's hash: whoever held the key was running when that block was known.

// ProofDigest is what a guest signs: a hash over chain, VM, instance and block.
func ProofDigest(chainID, vmID string, instanceSeq uint32, height int64, blockHash []byte) []byte {
	h := sha256.New()
	h.Write([]byte("hippius/guest-proof/v1\x00"))
	writeField(h, []byte(chainID))
	writeField(h, []byte(vmID))
	var n [12]byte
	binary.BigEndian.PutUint32(n[:4], instanceSeq)
	binary.BigEndian.PutUint64(n[4:], uint64(height))
	h.Write(n[:])
	writeField(h, blockHash)
	return h.Sum(nil)
}

// SignProof signs as the guest of one instance.
func SignProof(key ed25519.PrivateKey, chainID, vmID string, instanceSeq uint32, height int64, blockHash []byte) []byte {
	return ed25519.Sign(key, ProofDigest(chainID, vmID, instanceSeq, height, blockHash))
}

// VerifyProof reports whether sig is the guest key's signature over the block.
func VerifyProof(guestKey ed25519.PublicKey, chainID, vmID string, instanceSeq uint32, height int64, blockHash, sig []byte) bool {
	if len(guestKey) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
		return false
	}
	return ed25519.Verify(guestKey, ProofDigest(chainID, vmID, instanceSeq, height, blockHash), sig)
}
