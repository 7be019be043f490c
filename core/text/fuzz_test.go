package text

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzClean: what is left is one printable line in bounds, and cleaning it
// again changes nothing.
func FuzzClean(f *testing.F) {
	f.Add("a\x1b[2J\u202eb\n\xff", 20)
	f.Add("漢字", 4)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(0, min(limit, 1<<20))
		out := Clean(s, limit)
		if len(out) > limit || !utf8.ValidString(out) || strings.ContainsFunc(out, func(c rune) bool { return !Printable(c) }) {
			t.Errorf("%q became %q", s, out)
		}
		if Clean(out, limit) != out {
			t.Errorf("%q is cleaned again", out)
		}
	})
}

func FuzzValidName(f *testing.F) {
	f.Add("web-1")
	f.Add("-")
	f.Fuzz(func(t *testing.T, s string) {
		if ValidName("name", s) != nil {
			return
		}
		if s == "" || len(s) > 63 || s[0] == '-' || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Fatalf("%q accepted", s)
		}
	})
}
