package wallet

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// SeedSize of a derived seed, in bytes: an Ed25519 key is made from it.
const SeedSize = 32

// MeshCASeed is the seed of the Ed25519 key of the account's own mesh CA.
func (w *Wallet) MeshCASeed() ([]byte, error) {
	return w.subSeed("hippius mesh ca v1")
}

// HostCASeed is the seed of the Ed25519 key that signs the SSH host certificates of one VM.
func (w *Wallet) HostCASeed(vmID string) ([]byte, error) {
	return w.subSeed("hippius ssh host ca v1 " + vmID)
}

// UserDataKey is the key that the cloud-init user data of one VM is sealed under.
func (w *Wallet) UserDataKey(vmID string) ([]byte, error) {
	return w.subSeed("hippius user data v1 " + vmID)
}

// subSeed is HKDF-SHA256 of the BIP-39 seed; seeds of different labels tell nothing of each other.
func (w *Wallet) subSeed(label string) ([]byte, error) {
	if w.seed == nil {
		return nil, ErrNoPhrase
	}
	out, err := hkdf.Key(sha256.New, w.seed, nil, label, SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive seed: %w", err)
	}
	return out, nil
}
