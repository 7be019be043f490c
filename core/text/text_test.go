package text

import (
	"testing"
	"unicode"
)

func TestPrintable(t *testing.T) {
	for _, c := range "az09 ~\"'<>&…–äöüß漢字ж€" {
		if !Printable(c) {
			t.Errorf("%q is refused", c)
		}
	}
	unseen := map[rune]bool{0xad: true, 0x200b: true, 0x200d: true, 0x2060: true, 0xfeff: true, 0xe0041: true, 0xfffd: true, -1: true}
	for c := rune(-1); c <= unicode.MaxRune+1; c++ {
		harmful := unseen[c] || unicode.Is(unicode.Bidi_Control, c) || unicode.In(c, unicode.Cc, unicode.Cs, unicode.Co, unicode.Zl, unicode.Zp)
		if harmful && Printable(c) {
			t.Errorf("U+%04X is taken for printable", c)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b[2Jb\nc\r\x00": "a[2Jbc", "\u202egnp.exe": "gnp.exe", "a\xffb": "ab", "12345678901é": "12345678901", "é": "é",
	} {
		if got := Clean(in, 12); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
