// Package wallet is an account's secp256k1 key: made from a seed phrase, named by
// a bech32 address, kept in a file that only its owner can open.
//
// Everything an account ever needs comes from the one phrase (BIP-39): the
// signing key by BIP-32 at m/44'/118'/0'/0/0, and further seeds by labelled HKDF.
package wallet

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cosmos/go-bip39"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/hdkeychain/v3"
)

const (
	// PhraseWords is how many words NewPhrase gives.
	PhraseWords = 24
	// entropySize for 24 words, in bytes.
	entropySize = 32
	// maxPhrase bounds what is looked at as a seed phrase, in bytes.
	maxPhrase = 1 << 10
)

// ErrNoPhrase is returned when something is to be derived from the seed phrase of a wallet that has only a key.
var ErrNoPhrase = errors.New("this wallet has no seed phrase, only a key")

// Wallet holds one account's key. It is safe for concurrent use.
type Wallet struct {
	key    *secp256k1.PrivateKey
	pub    []byte
	addr   string
	phrase string
	seed   []byte
}

// NewPhrase makes a seed phrase of 24 words from 32 bytes of rand.
func NewPhrase(rand io.Reader) (string, error) {
	entropy := make([]byte, entropySize)
	if _, err := io.ReadFull(rand, entropy); err != nil {
		return "", fmt.Errorf("make seed phrase: %w", err)
	}
	phrase, err := bip39.NewMnemonic(entropy)
	if err != nil {
		return "", fmt.Errorf("make seed phrase: %w", err)
	}
	return phrase, nil
}

// FromPhrase derives the wallet of a seed phrase of 12 to 24 English words. Case and spacing are forgiven; a wrong
// word or checksum is not.
func FromPhrase(phrase string) (*Wallet, error) {
	if len(phrase) > maxPhrase {
		return nil, fmt.Errorf("seed phrase has %d bytes; at most %d are accepted", len(phrase), maxPhrase)
	}
	words := strings.Fields(strings.ToLower(phrase))
	if n := len(words); n < 12 || n > 24 || n%3 != 0 {
		return nil, fmt.Errorf("seed phrase has %d words; it needs 12, 15, 18, 21 or 24", n)
	}
	phrase = strings.Join(words, " ")
	if _, err := bip39.MnemonicToByteArray(phrase); err != nil {
		return nil, errors.New("seed phrase is not valid: a word is misspelt, missing or in the wrong place")
	}
	seed := bip39.NewSeed(phrase, "")
	priv, err := derive(seed)
	if err != nil {
		return nil, err
	}
	w, err := FromKey(priv)
	if err != nil {
		return nil, err
	}
	w.phrase, w.seed = phrase, seed
	return w, nil
}

// FromKey is the wallet of a bare private key of 32 bytes; such a wallet derives nothing further.
func FromKey(priv []byte) (*Wallet, error) {
	var scalar secp256k1.ModNScalar
	if len(priv) != secp256k1.PrivKeyBytesLen {
		return nil, fmt.Errorf("private key has %d bytes, want %d", len(priv), secp256k1.PrivKeyBytesLen)
	}
	if overflow := scalar.SetByteSlice(priv); overflow || scalar.IsZero() {
		return nil, errors.New("private key is out of range")
	}
	key := secp256k1.NewPrivateKey(&scalar)
	pub := key.PubKey().SerializeCompressed()
	addr, err := Address(pub)
	if err != nil {
		return nil, err
	}
	return &Wallet{key: key, pub: pub, addr: addr}, nil
}

// Address of the account, "hip1…".
func (w *Wallet) Address() string { return w.addr }

// PublicKey is the compressed key, 33 bytes.
func (w *Wallet) PublicKey() []byte { return append([]byte(nil), w.pub...) }

// Phrase is the seed phrase, or empty for a wallet made from a bare key.
func (w *Wallet) Phrase() string { return w.phrase }

// derive gives the private key at m/44'/118'/0'/0/0.
func derive(seed []byte) ([]byte, error) {
	const hard = hdkeychain.HardenedKeyStart
	node, err := hdkeychain.NewMaster(seed, versions{})
	if err != nil {
		return nil, fmt.Errorf("derive account key: %w", err)
	}
	for _, i := range []uint32{44 + hard, 118 + hard, 0 + hard, 0, 0} {
		// The other method, Child, drops leading zero bytes and so leaves the standard once in 256 keys.
		if node, err = node.ChildBIP32Std(i); err != nil {
			return nil, fmt.Errorf("derive account key: %w", err)
		}
	}
	return node.SerializedPrivKey()
}

// versions are the prefixes of extended keys in text, which we never write.
type versions struct{}

func (versions) HDPrivKeyVersion() [4]byte { return [4]byte{0x04, 0x88, 0xad, 0xe4} }
func (versions) HDPubKeyVersion() [4]byte  { return [4]byte{0x04, 0x88, 0xb2, 0x1e} }
