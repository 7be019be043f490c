package guest

import (
	"testing"
	"time"
)

// seen is one message: the miner's time and this clock's, in seconds, at a
// monotonic second.
type seen struct{ sent, local, mono float64 }

func TestSkew(t *testing.T) {
	t.Parallel()
	at := func(s float64) time.Time { return time.UnixMilli(int64(s * 1000)) }
	for name, c := range map[string]struct {
		in   []seen
		want float64 // last step, in seconds
	}{
		"right":                       {[]seen{{100, 100, 0}, {101, 101, 1}}, 0},
		"a little off either way":     {[]seen{{101.9, 100, 0}, {101, 102.9, 1}}, 0},
		"behind, proven by one":       {[]seen{{1000, 100, 0}}, 900},
		"one late message":            {[]seen{{90, 100, 0}}, 0},
		"a backlog read at once":      {[]seen{{60, 100, 0}, {70, 100, 0}, {80, 100, 0}, {90, 100, 0}}, 0},
		"a backlog, then a fresh one": {[]seen{{60, 100, 0}, {70, 100, 0}, {100, 100, 5}}, 0},
		"ahead, three over 5 seconds": {[]seen{{100, 160, 0}, {102, 162, 2}, {105, 165, 5}}, -60},
		"ahead, by the least of them": {[]seen{{90, 160, 0}, {102, 162, 2}, {101, 165, 5}}, -60},
		"ahead, interrupted":          {[]seen{{100, 160, 0}, {102, 162, 2}, {165, 165, 5}, {106, 166, 6}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s skew
			var got time.Duration
			for _, m := range c.in {
				got = s.observe(at(m.sent), at(m.local), time.Duration(m.mono*float64(time.Second)))
			}
			if want := time.Duration(c.want * float64(time.Second)); got != want {
				t.Errorf("step %s, want %s", got, want)
			}
		})
	}
}
