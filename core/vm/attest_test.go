package vm

import "testing"

func TestAttested(t *testing.T) {
	for _, c := range []struct{ last, at, want int64 }{
		{0, 100, 0}, {100, 100, 0}, {100, 99, 0}, {100, 101, 1}, {100, 160, 60}, {100, 161, 0}, {-5, 10, 0},
	} {
		if got := Attested(c.last, c.at, 60); got != c.want {
			t.Errorf("from %d to %d: got %d, want %d", c.last, c.at, got, c.want)
		}
	}
}

// However a time is cut into reports, what is charged is at most the time
// between the first and the last, and all of it when no gap is too long.
func FuzzAttested(f *testing.F) {
	f.Add([]byte{1, 60, 61, 0, 200})
	f.Fuzz(func(t *testing.T, gaps []byte) {
		last, charged, long := int64(1000), int64(0), int64(0)
		for _, g := range gaps {
			next := last + int64(g)
			charged += Attested(last, next, 60)
			if g > 60 {
				long += int64(g)
			}
			last = next
		}
		if charged != last-1000-long {
			t.Fatalf("charged %d of %d with %d unseen", charged, last-1000, long)
		}
	})
}
