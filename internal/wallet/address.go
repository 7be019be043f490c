package wallet

import (
	"crypto/sha256"
	"fmt"

	"github.com/cosmos/btcutil/bech32"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/crypto/ripemd160" //nolint:staticcheck // the form of account addresses prescribes it
)

const (
	// Prefix of an address in text.
	Prefix = "hip"
	// maxAddress bounds an address in text, as bech32 does.
	maxAddress = 90
	// Sizes of an address in bytes: of a key's account, and of a module's or other derived one.
	addressSize, longAddressSize = 20, 32
)

// Address of a compressed public key (33 bytes): bech32 of RIPEMD-160 of its SHA-256.
func Address(pub []byte) (string, error) {
	if len(pub) != secp256k1.PubKeyBytesLenCompressed {
		return "", fmt.Errorf("public key has %d bytes, want %d", len(pub), secp256k1.PubKeyBytesLenCompressed)
	}
	if _, err := secp256k1.ParsePubKey(pub); err != nil {
		return "", fmt.Errorf("public key: %w", err)
	}
	sum := sha256.Sum256(pub)
	h := ripemd160.New()
	h.Write(sum[:])
	addr, err := bech32.EncodeFromBase256(Prefix, h.Sum(nil))
	if err != nil {
		return "", fmt.Errorf("encode address: %w", err)
	}
	return addr, nil
}

// ParseAddress checks an address in text and gives its 20 (or, not a key's, 32) bytes.
func ParseAddress(s string) ([]byte, error) {
	if len(s) > maxAddress {
		return nil, fmt.Errorf("address has %d characters; at most %d are accepted", len(s), maxAddress)
	}
	prefix, raw, err := bech32.DecodeToBase256(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("address %q is mistyped: %w", s, err)
	case prefix != Prefix:
		return nil, fmt.Errorf("address %q begins with %q, want %q", s, prefix, Prefix)
	case len(raw) != addressSize && len(raw) != longAddressSize:
		return nil, fmt.Errorf("address %q holds %d bytes, want %d or %d", s, len(raw), addressSize, longAddressSize)
	}
	return raw, nil
}
