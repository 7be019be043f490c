package vm

import (
	"encoding/hex"
	"strings"
	"testing"
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
		raw, err := hex.DecodeString(string(id))
		if err != nil || len(raw) != IDSize || hex.EncodeToString(raw) != s {
			t.Errorf("%q is another way to write %q", s, id)
		}
	})
}
