package client

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/wallet"
)

// What a node answers is a stranger's word: nothing of it leaves this package before its form was checked, by the rule
// by which the chain took it where there is one. A fault anywhere makes the whole answer unusable.

// ErrAnswer says that a node's answer breaks the rules of the chain it speaks for.
var ErrAnswer = errors.New("the chain node's answer is not used")

// Bounds of an answer that no rule of core gives.
const (
	// maxTime in unix seconds, maxHeight of a block: far beyond any that are true, so that sums do not overflow.
	maxTime   = 1 << 40
	maxHeight = 1 << 48
	// maxExcluded miners of one VM, maxListed entries of what comes in one piece.
	maxExcluded = 256
	maxListed   = 4096
	// maxSentence of the chain's that is shown, in bytes.
	maxSentence = 1024

	hashSize      = 32
	keySize       = 32
	signatureSize = 64
)

// decoder remembers the first fault of an answer.
type decoder struct{ err error }

// done gives what was decoded, or what is wrong with it.
func done[T any](d *decoder, what string, v T) (T, error) {
	if d.err != nil {
		var none T
		return none, fmt.Errorf("%s: %w: %s", what, ErrAnswer, text.Clean(d.err.Error(), maxSentence)) // it may quote the answer
	}
	return v, nil
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// rule notes the fault that a rule found.
func (d *decoder) rule(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *decoder) address(what, s string) string {
	if _, err := wallet.ParseAddress(s); err != nil {
		d.fail("%s: %w", what, err)
	}
	return s
}

// addressOrNone is address, or empty.
func (d *decoder) addressOrNone(what, s string) string {
	if s == "" {
		return ""
	}
	return d.address(what, s)
}

func (d *decoder) id(s string) vm.ID {
	id, err := vm.ParseID(s)
	d.rule(err)
	return id
}

func (d *decoder) time(what string, at int64) int64 {
	if at < 0 || at > maxTime {
		d.fail("%s is %d, no time in unix seconds", what, at)
	}
	return at
}

func (d *decoder) height(what string, h int64) int64 {
	if h < 0 || h > maxHeight {
		d.fail("%s is %d, no block's height", what, h)
	}
	return h
}

func (d *decoder) bytes(what string, b []byte, size int) []byte {
	if len(b) != size {
		d.fail("the %s has %d bytes; it has exactly %d", what, len(b), size)
	}
	return b
}

func (d *decoder) atMost(what string, n, limit int) {
	if n > limit {
		d.fail("%d %s; there are at most %d", n, what, limit)
	}
}

// seconds is a duration that is reckoned with as a time is.
func (d *decoder) seconds(what string, n uint64) int64 {
	if n > maxTime {
		d.fail("%s is %d seconds", what, n)
		return 0
	}
	return int64(n)
}

func (d *decoder) addr(what, s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.String() != s {
		d.fail("%s %.64q is not an address in its usual form", what, s)
		return netip.Addr{}
	}
	return a
}

// enum checks a number of a closed set 1..last.
func enum[T ~uint8, F ~int32](d *decoder, what string, v F, last T) T {
	if v < 1 || int64(v) > int64(last) {
		d.fail("%s %d is none that this program knows", what, v)
		return 0
	}
	return T(v)
}

// all decodes a list whose answer bounds its length.
func all[F, T any](d *decoder, list []F, one func(*decoder, F) T) []T {
	if list == nil {
		return nil
	}
	out := make([]T, 0, len(list))
	for _, f := range list {
		if d.err != nil {
			break
		}
		out = append(out, one(d, f))
	}
	return out
}

// networks of a block are just those that its index stands for; a released block has none.
func (d *decoder) networks(b mesh.Block, cidrs []string) []netip.Prefix {
	if len(cidrs) == 0 {
		return nil
	}
	own := b.Networks()
	if len(cidrs) != len(own) {
		d.fail("block %d has %d networks; it is %d", b, len(cidrs), len(own))
		return nil
	}
	for i, s := range cidrs {
		if s != own[i].String() {
			d.fail("block %d has the network %.64q; it is %s", b, s, own[i])
		}
	}
	return own
}
