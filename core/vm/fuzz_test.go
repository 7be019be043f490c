package vm

import (
	"encoding/hex"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParseID: what is taken for an id is safe as a name of anything, and is
// the one way to write it.
func FuzzParseID(f *testing.F) {
	f.Add("00112233445566778899aabbccddeeff")
	f.Add("00112233445566778899AABBCCDDEEFF")
	f.Add("../../../../../../../../../../..")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			if len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\n\x1b\x00") {
				t.Errorf("the error is not fit to print: %q", err)
			}
			return
		}
		if hex.EncodeToString(id[:]) != s {
			t.Errorf("%q is another way to write %x", s, id)
		}
	})
}

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
