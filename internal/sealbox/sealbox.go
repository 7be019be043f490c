// Package sealbox seals short messages to the holder of an X25519 key (HPKE,
// RFC 9180: DHKEM-X25519, HKDF-SHA256, AES-256-GCM, base mode). A box says
// nothing of who sealed it, and opens only with the info and associated data it
// was sealed with.
package sealbox

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"

	"github.com/hippius/compute/internal/privatefile"
)

const (
	// KeySize of a public key, in bytes.
	KeySize = 32
	// Overhead of a box over what is in it, in bytes: the sender's one-time key and the tag.
	Overhead = KeySize + 16
)

// ErrOpen is a box sealed to another key, for another purpose or place, or altered.
var ErrOpen = errors.New("sealed box does not open")

// Seal seals plain to a public key of 32 bytes.
func Seal(to []byte, info string, aad, plain []byte) ([]byte, error) {
	raw, err := ecdh.X25519().NewPublicKey(to)
	if err != nil {
		return nil, fmt.Errorf("seal box: %w", err)
	}
	pub, err := hpke.NewDHKEMPublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("seal box: %w", err)
	}
	enc, sender, err := hpke.NewSender(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
	if err != nil {
		return nil, fmt.Errorf("seal box: %w", err)
	}
	box, err := sender.Seal(aad, plain)
	if err != nil {
		return nil, fmt.Errorf("seal box: %w", err)
	}
	return append(enc, box...), nil
}

// Key opens what was sealed to it.
type Key struct {
	key  *ecdh.PrivateKey
	hpke hpke.PrivateKey
}

// NewKey makes a key.
func NewKey() (*Key, error) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make sealing key: %w", err)
	}
	return fromECDH(k)
}

func fromECDH(k *ecdh.PrivateKey) (*Key, error) {
	h, err := hpke.NewDHKEMPrivateKey(k)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	return &Key{key: k, hpke: h}, nil
}

// Public key to seal to, 32 bytes.
func (k *Key) Public() []byte { return k.key.PublicKey().Bytes() }

// Open gives what is in a box, or ErrOpen.
func (k *Key) Open(info string, aad, box []byte) ([]byte, error) {
	if len(box) < Overhead {
		return nil, ErrOpen
	}
	r, err := hpke.NewRecipient(box[:KeySize], k.hpke, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
	if err != nil {
		return nil, ErrOpen
	}
	plain, err := r.Open(aad, box[KeySize:])
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

const pemType = "PRIVATE KEY"

// LoadOrCreateKey returns the key kept in the file at path, in PKCS #8 PEM, or makes one and keeps it there, for its
// owner alone. Of two processes that create at once, both get the same key. A key that others can read is refused.
func LoadOrCreateKey(path string) (*Key, error) {
	k, err := load(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("create sealing key %s: %w", path, err)
		}
		k, err = load(path)
	}
	if err != nil {
		return nil, fmt.Errorf("load sealing key %s: %w", path, err)
	}
	return k, nil
}

func load(path string) (*Key, error) {
	text, err := privatefile.Read(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, errors.New("holds no PEM block of type " + pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	k, ok := parsed.(*ecdh.PrivateKey)
	if !ok || k.Curve() != ecdh.X25519() {
		return nil, fmt.Errorf("holds a %T, want an X25519 key", parsed)
	}
	return fromECDH(k)
}

func create(path string) error {
	k, err := NewKey()
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return err
	}
	return privatefile.Create(path, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}))
}
