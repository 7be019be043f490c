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
