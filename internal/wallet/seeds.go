package wallet

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// SeedSize of a derived seed, in bytes: an Ed25519 key is made from it.
const SeedSize = 32

// Seed is SeedSize bytes by HKDF-SHA256 of the BIP-39 seed, under a label; seeds of different labels tell nothing of each
// other. ErrNoPhrase for a wallet made from a bare key.
func (w *Wallet) Seed(label string) ([]byte, error) {
	if w.seed == nil {
		return nil, ErrNoPhrase
	}
	out, err := hkdf.Key(sha256.New, w.seed, nil, label, SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive seed: %w", err)
	}
	return out, nil
}
