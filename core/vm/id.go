// Package vm holds the words and rules of a virtual machine's life: its
// identity, its phases, who may cause which change, and what counts as proof
// that it is alive. Pure: chain, miner, guest and command line use the same.
package vm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// NonceSize is the length of the random nonce a VM's id is made from, in bytes.
const NonceSize = 16

// IDSize is the length of a VM id before hex encoding, in bytes.
const IDSize = 16

// ID names a VM for ever: 32 lower-case hex characters. It is also the UUID of its domain.
type ID string

// NewID derives a VM's id from its owner's address and a random nonce: the first
// 16 bytes of a SHA-256, in hex. Binding the owner makes a secret share copied
// from another tenant useless under a new name.
func NewID(owner string, nonce []byte) (ID, error) {
	if len(nonce) != NonceSize {
		return "", fmt.Errorf("nonce has %d bytes; it needs exactly %d", len(nonce), NonceSize)
	}
	h := sha256.New()
	h.Write([]byte("hippius/vm-id/v1\x00"))
	writeField(h, []byte(owner))
	writeField(h, nonce)
	return ID(hex.EncodeToString(h.Sum(nil)[:IDSize])), nil
}

// ParseID checks that s is a VM id: 32 lower-case hex characters.
func ParseID(s string) (ID, error) {
	if len(s) != hex.EncodedLen(IDSize) {
		return "", fmt.Errorf("VM id %.40q: want %d lower-case hex characters", s, hex.EncodedLen(IDSize))
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("VM id %q: want %d lower-case hex characters", s, hex.EncodedLen(IDSize))
		}
	}
	return ID(s), nil
}

type writer interface {
	Write(p []byte) (int, error)
}

// writeField appends a length-prefixed field, so that no two field lists share an encoding.
func writeField(w writer, b []byte) {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(b)))
	_, _ = w.Write(n[:]) // a hash never fails
	_, _ = w.Write(b)
}
