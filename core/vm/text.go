package vm

import (
	"strings"
	"unicode/utf8"
)

// Printable tells whether a character of a stranger's text may be shown: not
// one that moves a cursor, breaks a line, is not seen, or turns the direction
// of what follows, so that a line reads as another. The ranges are listed here
// because validators must agree, whatever Unicode tables they were built with.
func Printable(c rune) bool {
	switch {
	case c < ' ', c >= 0x7f && c < 0xa0, c == 0xad: // controls, and the hyphen that is not seen
		return false
	case c >= 0x200b && c <= 0x200f, c >= 0x2028 && c <= 0x202e, c >= 0x2060 && c <= 0x206f: // without width, separators, directions
		return false
	case c == 0x061c, c == 0x180e, c == 0xfeff: // the same, elsewhere
		return false
	case c >= 0xd800 && c <= 0xf8ff, c >= 0xfff0 && c <= 0xffff, c >= 0xe0000: // surrogates, private use, tags, what was no UTF-8
		return false
	}
	return utf8.ValidRune(c)
}

// Clean is a stranger's text as one line to show: at most limit bytes, and
// nothing of it that is not Printable.
func Clean(s string, limit int) string {
	s = strings.Map(func(c rune) rune {
		if !Printable(c) {
			return -1
		}
		return c
	}, s[:min(len(s), limit)])
	return strings.ToValidUTF8(s, "")
}
