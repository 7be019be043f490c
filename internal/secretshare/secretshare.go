// Package secretshare divides a random secret among holders so that any threshold of them can give it back and fewer
// learn nothing, and so that each share can be checked by itself.
//
// It is Feldman's verifiable form of Shamir's scheme over ristretto255 (CIRCL does the mathematics). Everything here
// takes input from strangers: encodings are canonical and bounded, and nothing panics.
package secretshare

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
)

// MaxShares bounds how many shares one secret has.
const MaxShares = 255

const (
	scalarSize  = 32
	elementSize = 32
	// label separates this use of the shared scalar from any other.
	label = "secretshare/ristretto255/v1 secret"
)

var (
	// ErrTooFew means fewer good shares were given than the threshold.
	ErrTooFew = errors.New("too few good shares")
	// ErrMalformed means bytes that no share or commitment encodes to.
	ErrMalformed = errors.New("malformed encoding")
)

// Secret is what is shared: 32 bytes fit to be a key. It does not print itself.
type Secret [32]byte

// Format keeps the secret out of logs and messages whatever the verb.
func (Secret) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, "(secret)") // fmt keeps the error
}

// Deal makes a secret and shares it: n shares, numbered from 1, of which any threshold recover it. Randomness is the
// system's; CIRCL takes no other for this group.
func Deal(threshold, n int) (Secret, []Share, Commitment, error) {
	if threshold < 1 || n < threshold || n > MaxShares {
		return Secret{}, nil, Commitment{}, fmt.Errorf("share a secret %d of %d: want 1 ≤ threshold ≤ shares ≤ %d", threshold, n, MaxShares)
	}
	root := group.Ristretto255.RandomNonZeroScalar(rand.Reader)
	// CIRCL counts the holders that may be corrupted, one fewer than those needed.
	dealt := secretsharing.New(rand.Reader, uint(threshold-1), root)
	commitment := Commitment{points: dealt.CommitSecret()}
	if err := commitment.valid(); err != nil || commitment.Threshold() != threshold {
		return Secret{}, nil, Commitment{}, errors.New("share a secret: the random source is broken")
	}
	shares := make([]Share, n)
	for i, s := range dealt.Share(uint(n)) {
		shares[i] = Share{id: uint8(i + 1), value: s.Value}
	}
	secret, err := derive(root, commitment)
	return secret, shares, commitment, err
}

// Recover gives back the secret of commitment from at least threshold of its shares. Each share is verified first;
// bad lists the ids of those that are not part of the commitment, in order, also when enough others are good. A share
// given twice counts once. With too few good ones the error is ErrTooFew.
func Recover(threshold int, shares []Share, commitment Commitment) (secret Secret, bad []int, err error) {
	if err := commitment.valid(); err != nil {
		return Secret{}, nil, err
	}
	if commitment.Threshold() != threshold {
		return Secret{}, nil, fmt.Errorf("the commitment is for a threshold of %d, want %d", commitment.Threshold(), threshold)
	}
	if len(shares) > MaxShares {
		return Secret{}, nil, fmt.Errorf("%d shares given, want at most %d", len(shares), MaxShares)
	}
	var good []secretsharing.Share
	seen := make(map[uint8]bool)
	allGood := VerifyAll(shares, commitment) == nil
	for _, s := range shares {
		switch {
		case !allGood && s.Verify(commitment) != nil:
			bad = append(bad, s.ID())
		case !seen[s.id]:
			seen[s.id] = true
			good = append(good, s.circl())
		}
	}
	slices.Sort(bad)
	bad = slices.Compact(bad)
	if len(good) < threshold {
		return Secret{}, bad, fmt.Errorf("%w: %d of %d", ErrTooFew, len(good), threshold)
	}
	root, err := secretsharing.Recover(uint(threshold-1), good)
	if err != nil {
		return Secret{}, bad, fmt.Errorf("recover a secret: %w", err)
	}
	secret, err = derive(root, commitment)
	return secret, bad, err
}

// derive makes the key of the shared scalar; the commitment is mixed in, so a key belongs to one sharing.
func derive(root group.Scalar, c Commitment) (Secret, error) {
	raw, err := root.MarshalBinary()
	if err != nil {
		return Secret{}, fmt.Errorf("derive a secret: %w", err)
	}
	hash := c.Hash()
	key, err := hkdf.Key(sha256.New, raw, hash[:], label, len(Secret{}))
	if err != nil {
		return Secret{}, fmt.Errorf("derive a secret: %w", err)
	}
	return Secret(key), nil
}
