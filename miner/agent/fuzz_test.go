package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
)

// FuzzSentence: whatever words of keepers, servers or programs an error holds,
// what is reported of it is what the chain takes.
func FuzzSentence(f *testing.F) {
	f.Add("keeper k: no\x1b[2J\n\u202egpj \xff" + strings.Repeat("é", 200))
	f.Add("")
	f.Fuzz(func(t *testing.T, words string) {
		s := sentence(errors.New(words))
		if len(s) > vm.MaxMessageLen || strings.ContainsFunc(s, func(c rune) bool { return !text.Printable(c) }) {
			t.Errorf("%q would be refused by the chain", s)
		}
	})
}
