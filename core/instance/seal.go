package instance

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
)

const (
	nonceSize    = 12
	sealOverhead = nonceSize + 16
)

// Seal encrypts plain under secret (32 bytes) with AES-256-GCM: a random nonce,
// then ciphertext and tag. The cipher key is derived from secret and label, so
// one secret serves several labels.
func Seal(rand io.Reader, secret []byte, label string, aad, plain []byte) ([]byte, error) {
	a, err := aead(secret, label)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, nonceSize, nonceSize+len(plain)+16)
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, fmt.Errorf("seal %s: read nonce: %w", label, err)
	}
	return a.Seal(nonce, nonce, plain, aad), nil
}

// Open is the reverse of Seal. It fails if secret, label, aad or data differ.
func Open(secret []byte, label string, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < sealOverhead {
		return nil, fmt.Errorf("open %s: %d bytes are too few", label, len(sealed))
	}
	a, err := aead(secret, label)
	if err != nil {
		return nil, err
	}
	plain, err := a.Open(nil, sealed[:nonceSize], sealed[nonceSize:], aad)
	if err != nil {
		return nil, fmt.Errorf("open %s: wrong key or altered data", label)
	}
	return plain, nil
}

// Labels of what is sealed.
const (
	LabelBundle   = "bundle"
	LabelUserData = "user-data"
)

func aead(secret []byte, label string) (cipher.AEAD, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("key for %s has %d bytes, want %d", label, len(secret), KeySize)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "hippius seal v1 "+label, KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive key for %s: %w", label, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cipher for %s: %w", label, err)
	}
	return cipher.NewGCM(block)
}
