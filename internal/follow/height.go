package follow

import (
	"fmt"
	"time"
)

const (
	// maxRate is more blocks a second than any chain makes, and slack how many a height may be off by beside that.
	maxRate = 100
	slack   = 10_000
	// fresh is how old the newest block of a chain may be that has not stopped.
	fresh = 30 * time.Second
)

// Heights judges the heights that somebody tells of a chain. The zero value has heard nothing. One goroutine may use it at a time.
type Heights struct {
	last int64
	at   time.Time
}

// Check says what is wrong with a height that is told now: it lies further ahead of the one before than blocks can have been made
// meanwhile. A first one is not judged.
func (h *Heights) Check(height int64, now time.Time) error {
	if h.at.IsZero() {
		return nil
	}
	if most := h.last + slack + maxRate*int64(now.Sub(h.at)/time.Second); height > most {
		return fmt.Errorf("block %d cannot be: %s after block %d there are at most %d", height, now.Sub(h.at).Round(time.Second), h.last, most)
	}
	return nil
}

// Heard notes a height that was taken.
func (h *Heights) Heard(height int64, now time.Time) { h.last, h.at = height, now }

// Wrong tells whether a cursor was never one of this chain, as after a node told of a height that is not: the chain is far below it,
// and yet makes blocks. A node that has been restored from a copy is below the cursor, too, but its newest block is old, or it is
// nearly there.
func Wrong(cursor, height int64, newest, now time.Time) bool {
	return cursor-height > slack && now.Sub(newest).Abs() <= fresh
}
