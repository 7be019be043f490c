package place

import "math"

// Pass is one walk over all slots of the ring, done in parts. The zero value
// begins at slot 0.
type Pass struct {
	// From is the slot where the pass began, Span how many slots from there on
	// it has walked. After the last slot comes slot 0.
	From, Span uint64
}

// Arc is a range of slots, both included.
type Arc struct{ First, Last uint64 }

// Left are the slots that a pass has not walked yet, in the order of the walk.
func (p Pass) Left() []Arc {
	next := p.From + p.Span
	switch {
	case next < p.From: // it went on from slot 0
		return []Arc{{next, p.From - 1}}
	case p.From == 0:
		return []Arc{{next, math.MaxUint64}}
	default:
		return []Arc{{next, math.MaxUint64}, {0, p.From - 1}}
	}
}

// After is the pass once it has walked up to a slot of those left, and whether none is left.
func (p Pass) After(slot uint64) (next Pass, whole bool) {
	p.Span = slot - p.From + 1
	return p, p.Span == 0
}
