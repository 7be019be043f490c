package secretshare

import (
	"crypto/sha256"
	"fmt"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
)

// ShareSize is the length of an encoded share, in bytes.
const ShareSize = 1 + scalarSize

// Share is one holder's part. The zero Share is part of nothing.
type Share struct {
	id    uint8
	value group.Scalar
}

// BadShareError is a share that is not part of the commitment it was checked against.
type BadShareError struct{ ID int }

func (e *BadShareError) Error() string {
	return fmt.Sprintf("share %d is not part of this secret", e.ID)
}

// ID returns the share's number, 1 to MaxShares.
func (s Share) ID() int { return int(s.id) }

// Format prints the share's number and not its value.
func (s Share) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "(share %d)", s.id) // fmt keeps the error
}

// Verify returns a *BadShareError unless s is a share of the secret behind c.
func (s Share) Verify(c Commitment) error {
	if s.id == 0 || s.value == nil || c.valid() != nil ||
		!secretsharing.Verify(uint(c.Threshold()-1), s.circl(), c.points) {
		return &BadShareError{ID: s.ID()}
	}
	return nil
}

// MarshalBinary encodes s in ShareSize bytes: its number, then its value.
func (s Share) MarshalBinary() ([]byte, error) {
	if s.id == 0 || s.value == nil {
		return nil, fmt.Errorf("encode a share: %w", ErrMalformed)
	}
	value, err := s.value.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode share %d: %w", s.id, err)
	}
	return append([]byte{s.id}, value...), nil
}

// UnmarshalBinary accepts exactly what MarshalBinary makes.
func (s *Share) UnmarshalBinary(data []byte) error {
	if len(data) != ShareSize || data[0] == 0 {
		return fmt.Errorf("decode a share: %w", ErrMalformed)
	}
	value := group.Ristretto255.NewScalar()
	if err := value.UnmarshalBinary(data[1:]); err != nil {
		return fmt.Errorf("decode share %d: %w", data[0], ErrMalformed)
	}
	*s = Share{id: data[0], value: value}
	return nil
}

func (s Share) circl() secretsharing.Share {
	return secretsharing.Share{ID: group.Ristretto255.NewScalar().SetUint64(uint64(s.id)), Value: s.value}
}

// Commitment lets anyone check a share without learning anything of the secret. The zero Commitment fits no share.
type Commitment struct {
	points []group.Element // of the polynomial's coefficients, the secret's first
}

// Threshold returns how many shares recover the secret.
func (c Commitment) Threshold() int { return len(c.points) }

// Hash names the commitment: SHA-256 of its encoding.
func (c Commitment) Hash() [32]byte {
	raw, err := c.MarshalBinary()
	if err != nil {
		return [32]byte{}
	}
	return sha256.Sum256(raw)
}

// MarshalBinary encodes c in 32 bytes for each share of the threshold.
func (c Commitment) MarshalBinary() ([]byte, error) {
	if err := c.valid(); err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(c.points)*elementSize)
	for _, p := range c.points {
		raw, err := p.MarshalBinaryCompress()
		if err != nil {
			return nil, fmt.Errorf("encode a commitment: %w", err)
		}
		out = append(out, raw...)
	}
	return out, nil
}

// UnmarshalBinary accepts exactly what MarshalBinary makes.
func (c *Commitment) UnmarshalBinary(data []byte) error {
	n := len(data) / elementSize
	if len(data)%elementSize != 0 || n < 1 || n > MaxShares {
		return fmt.Errorf("decode a commitment of %d bytes: %w", len(data), ErrMalformed)
	}
	points := make([]group.Element, n)
	for i := range points {
		points[i] = group.Ristretto255.NewElement()
		if err := points[i].UnmarshalBinary(data[i*elementSize : (i+1)*elementSize]); err != nil {
			return fmt.Errorf("decode point %d of a commitment: %w", i, ErrMalformed)
		}
	}
	read := Commitment{points: points}
	if err := read.valid(); err != nil {
		return err
	}
	*c = read
	return nil
}

// valid refuses the identity element as the secret's point, which would be no secret, and as the last one, which
// would need fewer shares than it says. In between it occurs only by a chance of 2^-252 and is refused as well.
func (c Commitment) valid() error {
	if len(c.points) < 1 || len(c.points) > MaxShares {
		return fmt.Errorf("a commitment of %d points: %w", len(c.points), ErrMalformed)
	}
	for i, p := range c.points {
		if p.IsIdentity() {
			return fmt.Errorf("point %d of a commitment is the identity: %w", i, ErrMalformed)
		}
	}
	return nil
}
