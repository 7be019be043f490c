package chaos

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// trace is what happened, line by line. Two runs of one seed have the same.
type trace struct {
	began time.Time
	sum   hash.Hash
	lines []string
}

func newTrace() *trace { return &trace{sum: sha256.New()} }

// note adds a line. Only the goroutine that decides what happens calls it.
func (t *trace) note(format string, args ...any) {
	line := fmt.Sprintf("%8.1f  %s", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
	t.lines = append(t.lines, line)
	t.sum.Write([]byte(line + "\n"))
}

// mark makes the hash depend on something that is not worth a line.
func (t *trace) mark(what ...any) { _, _ = fmt.Fprintln(t.sum, what...) }

func (t *trace) hash() string { return hex.EncodeToString(t.sum.Sum(nil)[:8]) }

// chance is what the seed decides: a stream for the goroutine that decides, and
// words for others, which depend on what is asked and not on who asks first.
type chance struct {
	*rand.Rand
	seed uint64
}

func newChance(seed uint64) chance { return chance{rand.New(rand.NewPCG(seed, 0xc4a05)), seed} }

// often is true in part of a hundred cases.
func (c chance) often(part int) bool { return c.IntN(100) < part }

// between gives a whole number of seconds.
func (c chance) between(low, high int) time.Duration {
	return time.Duration(low+c.IntN(high-low+1)) * time.Second
}

// word is the same number, below 100, for the same question.
func (c chance) word(question ...any) int {
	h := fnv.New64a()
	_, _ = fmt.Fprintln(h, append([]any{c.seed}, question...)...)
	return int(rand.New(rand.NewPCG(h.Sum64(), c.seed)).Uint64N(100))
}

// pick is one of a list.
func pick[T any](c chance, list []T) T { return list[c.IntN(len(list))] }
