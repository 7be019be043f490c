package secretshare

import (
	"crypto/rand"
	"fmt"

	"github.com/cloudflare/circl/group"
)

// MarshalShares encodes the shares of one holder, ShareSize bytes each, in the rising order of their numbers.
func MarshalShares(shares []Share) ([]byte, error) {
	out := make([]byte, 0, len(shares)*ShareSize)
	for i, s := range shares {
		if i > 0 && s.id <= shares[i-1].id {
			return nil, fmt.Errorf("encode shares: number %d follows %d: %w", s.id, shares[i-1].id, ErrMalformed)
		}
		raw, err := s.MarshalBinary()
		if err != nil {
			return nil, err
		}
		out = append(out, raw...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("encode no shares: %w", ErrMalformed)
	}
	return out, nil
}

// UnmarshalShares accepts exactly what MarshalShares makes: 1 to MaxShares shares whose numbers rise.
func UnmarshalShares(data []byte) ([]Share, error) {
	n := len(data) / ShareSize
	if len(data)%ShareSize != 0 || n < 1 || n > MaxShares {
		return nil, fmt.Errorf("decode shares of %d bytes: %w", len(data), ErrMalformed)
	}
	shares := make([]Share, n)
	for i := range shares {
		if err := shares[i].UnmarshalBinary(data[i*ShareSize : (i+1)*ShareSize]); err != nil {
			return nil, err
		}
		if i > 0 && shares[i].id <= shares[i-1].id {
			return nil, fmt.Errorf("decode shares: number %d follows %d: %w", shares[i].id, shares[i-1].id, ErrMalformed)
		}
	}
	return shares, nil
}

// VerifyAll returns a *BadShareError that names the first of the shares that is not one of the secret behind c. Its work is about
// that of one Share.Verify: a random sum of the shares is verified, and only if that is wrong each by itself.
func VerifyAll(shares []Share, c Commitment) error {
	if len(shares) < 2 || len(shares) > MaxShares || c.valid() != nil || !sumVerifies(shares, c) {
		for _, s := range shares {
			if err := s.Verify(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// sumVerifies compares Σ rᵢ·f(xᵢ)·G with Σⱼ (Σᵢ rᵢ·xᵢʲ)·Cⱼ for random rᵢ. One wrong share makes them equal for one rᵢ of 2²⁵².
func sumVerifies(shares []Share, c Commitment) bool {
	g := group.Ristretto255
	value := g.NewScalar()
	powers := make([]group.Scalar, len(c.points))
	for j := range powers {
		powers[j] = g.NewScalar()
	}
	for _, s := range shares {
		if s.id == 0 || s.value == nil {
			return false
		}
		factor, x := g.RandomNonZeroScalar(rand.Reader), g.NewScalar().SetUint64(uint64(s.id))
		value.Add(value, g.NewScalar().Mul(factor, s.value))
		for j := range powers {
			powers[j].Add(powers[j], factor)
			factor.Mul(factor, x)
		}
	}
	sum := g.Identity()
	for j, p := range c.points {
		sum.Add(sum, g.NewElement().Mul(p, powers[j]))
	}
	return g.NewElement().MulGen(value).IsEqual(sum)
}
