package console

import (
	"bytes"
	"testing"
)

func TestAdded(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("0123456789"), 1000)
	for name, c := range map[string]struct{ old, now, want string }{
		"first":       {"", "abc", "abc"},
		"grown":       {"abc", "abcd", "d"},
		"same":        {"abc", "abc", ""},
		"cut":         {string(long) + "end", string(long[5000:]) + "end, more", ", more"},
		"all new":     {"abc", "xyz", "xyz"},
		"was emptied": {"abc", "", ""},
	} {
		if got := added([]byte(c.old), []byte(c.now)); string(got) != c.want {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(c.want))
		}
	}
}

// FuzzAdded: whatever a guest writes, and however its log was cut, what is
// shown is the end of the log, and nothing is shown that is not in it.
func FuzzAdded(f *testing.F) {
	f.Add([]byte("abc"), []byte("abcdef"))
	f.Add([]byte("abc"), []byte("bcd"))
	f.Add([]byte{}, []byte("x"))
	f.Fuzz(func(t *testing.T, old, now []byte) {
		got := added(old, now)
		if !bytes.HasSuffix(now, got) {
			t.Errorf("%q after %q shows %q", now, old, got)
		}
		if bytes.HasPrefix(now, old) && len(got) != len(now)-len(old) {
			t.Errorf("%q after %q shows %q again", now, old, got)
		}
	})
}
