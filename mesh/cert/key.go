package cert

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"

	nebula "github.com/slackhq/nebula/cert"
)

// KeySize is the length in bytes of a host's X25519 keys, both halves.
const KeySize = 32

// Errors of a host's private key.
var (
	ErrKey         = errors.New("key is neither 32 bytes nor one PEM block of an X25519 key")
	ErrKeyMismatch = errors.New("key does not belong to the certificate")
)

// NewHostKey makes a host's X25519 key pair.
func NewHostKey() (public, private []byte, err error) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate host key: %w", err)
	}
	return k.PublicKey().Bytes(), k.Bytes(), nil
}

// ParseHostKey reads a host's private key, raw or as a PEM block.
func ParseHostKey(b []byte) (private []byte, err error) {
	if len(b) == KeySize {
		return b, nil
	}
	key, rest, curve, err := nebula.UnmarshalPrivateKeyFromPEM(b)
	if err != nil || curve != nebula.Curve_CURVE25519 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, ErrKey
	}
	return key, nil
}

// HostKeyPEM is the text form of a host's private key.
func HostKeyPEM(private []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: nebula.X25519PrivateKeyBanner, Bytes: private})
}

// CheckKey returns ErrKeyMismatch, wrapped with the name, unless the private
// key is that of a host's certificate.
func (c *Certificate) CheckKey(private []byte) error {
	if err := c.c.VerifyPrivateKey(nebula.Curve_CURVE25519, private); err != nil {
		return fmt.Errorf("%w: %q", ErrKeyMismatch, c.Name())
	}
	return nil
}
