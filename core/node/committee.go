package node

import (
	"bytes"
	"fmt"

	"github.com/hippius/compute/core/committee"
)

// Committee is the keepers to deal to. The shares of a secret are numbered from 1; each keeper in this order has the next as many as
// its Shares.
type Committee struct {
	Epoch uint64
	// Threshold of all shares open a secret.
	Threshold uint32
	Keepers   []Keeper
	// DealsUntil is when deals to it are accepted no more, unix seconds; 0 for the present one.
	DealsUntil int64
}

// Shares of one secret, all keepers'.
func (c Committee) Shares() int {
	n := 0
	for _, k := range c.Keepers {
		n += k.Shares
	}
	return n
}

// Holder finds the keeper with an identity key and the number of its first share; ok is false if it is no member.
func (c Committee) Holder(identity []byte) (k Keeper, first int, ok bool) {
	first = 1
	for _, k := range c.Keepers {
		if bytes.Equal(k.Identity, identity) {
			return k, first, true
		}
		first += k.Shares
	}
	return Keeper{}, 0, false
}

// TakesDeals reports whether deals to it are accepted at a time, unix seconds.
func (c Committee) TakesDeals(now int64) bool { return c.DealsUntil == 0 || now < c.DealsUntil }

// Validate says in one sentence what is out of bounds: up to committee.MaxSeats keepers, each once and with 1 to committee.MaxShares
// shares, and that the threshold is two thirds of them. A committee without keepers is valid. The keepers themselves are not its
// matter.
func (c Committee) Validate() error {
	if n := len(c.Keepers); n > committee.MaxSeats {
		return fmt.Errorf("the committee has %d keepers; at most %d are accepted", n, committee.MaxSeats)
	}
	for i, k := range c.Keepers {
		if k.Shares < 1 || k.Shares > committee.MaxShares {
			return fmt.Errorf("keeper %.80q has %d shares; accepted are 1 to %d", k.Name, k.Shares, committee.MaxShares)
		}
		// One that is listed twice would be dealt more than its shares.
		for _, o := range c.Keepers[:i] {
			if bytes.Equal(o.Identity, k.Identity) {
				return fmt.Errorf("keeper %.80q is listed twice", k.Name)
			}
		}
	}
	if n := c.Shares(); n > committee.MaxShares || int(c.Threshold) != committee.Threshold(n) {
		return fmt.Errorf("%d of %d shares are to open a secret; accepted are two thirds of up to %d", c.Threshold, n, committee.MaxShares)
	}
	return nil
}
