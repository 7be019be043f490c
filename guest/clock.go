package guest

import "time"

// maxSkew is how far the clock may be off before it is stepped.
const maxSkew = 2 * time.Second

// skew judges the miner's times. A message may reach the agent late, having
// waited in a buffer, but never early: so a message from the future proves at
// once that this clock is behind, while one from the past proves nothing until
// several in a row, over some seconds, agree.
type skew struct {
	// since is the monotonic time of the first message of a row that were all
	// behind; best is the least they were behind by.
	since time.Duration
	best  time.Duration
	count int
}

// Evidence that this clock is ahead.
const (
	aheadMessages = 3
	aheadSpan     = 4 * time.Second
)

// observe takes one message: the miner's time, this clock and a monotonic
// time. It returns by how much to step, 0 for not at all.
func (s *skew) observe(sent, local time.Time, mono time.Duration) time.Duration {
	off := sent.Sub(local)
	if off > maxSkew {
		*s = skew{}
		return off
	}
	if off >= -maxSkew {
		*s = skew{}
		return 0
	}
	if s.count == 0 || off > s.best {
		s.best = off
	}
	if s.count == 0 {
		s.since = mono
	}
	s.count++
	if s.count < aheadMessages || mono-s.since < aheadSpan {
		return 0
	}
	step := s.best
	*s = skew{}
	return step
}
