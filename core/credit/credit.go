// Package credit is the money of the network as pure integer rules: what a
// purchase yields, what consuming releases from the reserve and to whom, and
// how an account's meter turns attested seconds into ucredit.
//
// One credit is 1 000 000 ucredit and stands for one US dollar. Amounts are
// uint64; products are taken at 128 bits, and whatever does not fit is an
// error, never a wrapped number. Prices are uhip per credit, rates ucredit per
// hour, and units ucredit·seconds per hour: 3600 units are one ucredit.
package credit

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

const (
	// PerCredit is how many ucredit make one credit.
	PerCredit = 1_000_000
	// UnitsPerUcredit is how many units, rate times seconds, make one ucredit.
	UnitsPerUcredit = 3600
	// Parts is the whole that shares and ratios are parts of.
	Parts = 10_000
	// DaySeconds is the lead with which an account is warned before it runs out.
	DaySeconds = 86_400
)

// ErrOverflow is returned when a sum or product does not fit into 64 bits.
var ErrOverflow = errors.New("amount does not fit into 64 bits")

// Bought is what uhip buys at a price of uhip per credit, in ucredit, rounded down.
func Bought(uhip, price uint64) (uint64, error) {
	if price == 0 {
		return 0, errors.New("the price of a credit is 0 uhip; it must be at least 1")
	}
	return mulDiv(uhip, PerCredit, price)
}

// Cost is the least uhip that buys at least ucredit at a price of uhip per credit.
func Cost(ucredit, price uint64) (uint64, error) {
	return mulDivUp(ucredit, price, PerCredit)
}

// Worth is what ucredit is worth at a price of uhip per credit, rounded down.
func Worth(ucredit, price uint64) (uint64, error) {
	return mulDiv(ucredit, price, PerCredit)
}

// mulDiv is a*b/c rounded down, exact in between.
func mulDiv(a, b, c uint64) (uint64, error) {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return 0, fmt.Errorf("%d × %d / %d: %w", a, b, c, ErrOverflow)
	}
	q, _ := bits.Div64(hi, lo, c)
	return q, nil
}

// mulDivUp is a*b/c rounded up, exact in between.
func mulDivUp(a, b, c uint64) (uint64, error) {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return 0, fmt.Errorf("%d × %d / %d: %w", a, b, c, ErrOverflow)
	}
	q, r := bits.Div64(hi, lo, c)
	if r == 0 {
		return q, nil
	}
	return add(q, 1)
}

// mulDivCap is mulDiv, at most limit: for comparisons in which anything larger means the same.
func mulDivCap(a, b, c, limit uint64) uint64 {
	q, err := mulDiv(a, b, c)
	if err != nil {
		return limit
	}
	return min(q, limit)
}

func add(a, b uint64) (uint64, error) {
	s, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return 0, fmt.Errorf("%d + %d: %w", a, b, ErrOverflow)
	}
	return s, nil
}

// addAll is the sum of all of v.
func addAll(v ...uint64) (total uint64, err error) {
	for _, x := range v {
		if total, err = add(total, x); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// addTo adds b to every counter, or to none when one would overflow.
func addTo(pairs ...counter) error {
	for _, p := range pairs {
		if _, err := add(*p.sum, p.plus); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	for _, p := range pairs {
		*p.sum += p.plus
	}
	return nil
}

type counter struct {
	name string
	sum  *uint64
	plus uint64
}

// Format writes an amount of ucredit in credits, without trailing zeros: 1 500 000 is "1.5".
func Format(ucredit uint64) string {
	whole, part := ucredit/PerCredit, ucredit%PerCredit
	if part == 0 {
		return strconv.FormatUint(whole, 10)
	}
	return strings.TrimRight(fmt.Sprintf("%d.%06d", whole, part), "0")
}
