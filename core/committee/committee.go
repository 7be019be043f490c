// Package committee divides the shares of every secret among the operators of keepers, by stake: trust follows stake, not heads.
// Every validator computes the same from the same stakes: integers only, in no order but the operators' own.
package committee

import (
	"cmp"
	"math/big"
	"slices"
)

const (
	// MaxSeats bounds how many operators hold shares.
	MaxSeats = 21
	// SharesPerSeat is how finely stake is expressed: of 21 seats one share is 1.6 % of the stake.
	SharesPerSeat = 3
	// MaxShares of one secret.
	MaxShares = MaxSeats * SharesPerSeat
)

// Stake of an operator whose keeper may hold shares.
type Stake struct {
	// Operator is named once in a list.
	Operator string
	// Uhip bonded to its validator; nil, zero or less holds nothing.
	Uhip *big.Int
}

// Member of a committee.
type Member struct {
	Operator string
	// Shares of every secret, at least 1.
	Shares int
}

// Threshold is how many of all shares open a secret: two thirds, rounded up; 0 of 0.
func Threshold(shares int) int { return (2*shares + 2) / 3 }

// Apportion gives SharesPerSeat shares for each seat to the operators with the most stake, one seat for each and at most so
// many as given. An operator's quota is its part of their stake. Whoever's is less than one share has none and is no member;
// the others divide all shares by largest remainder, ties by operator. A single member has one share. The result is in the
// order of the operators and nil without stake. It takes at most MaxSeats seats.
func Apportion(stakes []Stake, seats int) []Member {
	seats = max(min(seats, MaxSeats), 0)
	held := slices.DeleteFunc(slices.Clone(stakes), func(s Stake) bool { return s.Uhip == nil || s.Uhip.Sign() <= 0 })
	slices.SortFunc(held, func(a, b Stake) int {
		return cmp.Or(b.Uhip.Cmp(a.Uhip), cmp.Compare(a.Operator, b.Operator))
	})
	held = held[:min(seats, len(held))]
	shares := big.NewInt(int64(SharesPerSeat * len(held)))
	total := sum(held)
	held = slices.DeleteFunc(held, func(s Stake) bool {
		return new(big.Int).Mul(s.Uhip, shares).Cmp(total) < 0
	})
	switch len(held) {
	case 0:
		return nil
	case 1:
		return []Member{{Operator: held[0].Operator, Shares: 1}}
	}
	return divide(held, shares)
}

// divide gives all shares by largest remainder. Quotas only rose when small stakes left, so everyone gets at least one.
func divide(held []Stake, shares *big.Int) []Member {
	type part struct {
		Member
		rest *big.Int
	}
	total, left := sum(held), int(shares.Int64())
	parts := make([]part, len(held))
	for i, s := range held {
		whole, rest := new(big.Int).QuoRem(new(big.Int).Mul(s.Uhip, shares), total, new(big.Int))
		parts[i] = part{Member{Operator: s.Operator, Shares: int(whole.Int64())}, rest}
		left -= parts[i].Shares
	}
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(b.rest.Cmp(a.rest), cmp.Compare(a.Operator, b.Operator))
	})
	members := make([]Member, len(parts))
	for i, p := range parts {
		if i < left {
			p.Shares++
		}
		members[i] = p.Member
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.Operator, b.Operator) })
	return members
}

func sum(stakes []Stake) *big.Int {
	total := new(big.Int)
	for _, s := range stakes {
		total.Add(total, s.Uhip)
	}
	return total
}
