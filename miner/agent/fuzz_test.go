package agent

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/image"
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

func TestSentence(t *testing.T) {
	t.Parallel()
	long := fmt.Errorf("a\nb\x00\x7f %s", strings.Repeat("é", 300))
	got := sentence(long)
	if len(got) > vm.MaxMessageLen || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\x00\x7f") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	sum := &image.ChecksumError{Name: strings.Repeat("n", 63), Want: strings.Repeat("a", 64), Got: strings.Repeat("b", 64)}
	got = sentence(errors.Join(errors.New(strings.Repeat("x", 300)), sum))
	if !strings.Contains(got, sum.Want) || !strings.Contains(got, sum.Got) {
		t.Errorf("%q does not name both sums", got)
	}
}
