// Package text says which words of strangers may be shown, stored or put into files, and how a name looks.
package text

import (
	"fmt"
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

// MaxNameLen bounds a name, in characters.
const MaxNameLen = 63

// ValidName checks a name of a VM, key, device or the like: 1 to 63 characters
// of a-z, 0-9 and "-", not beginning with "-".
func ValidName(what, s string) error {
	if s == "" {
		return fmt.Errorf("%s is missing; use 1 to %d characters of a-z, 0-9 and -", what, MaxNameLen)
	}
	if len(s) > MaxNameLen {
		return fmt.Errorf("%s has %d characters; at most %d are accepted", what, len(s), MaxNameLen)
	}
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (c != '-' || i == 0) {
			return fmt.Errorf("%s %q is not accepted: use a-z, 0-9 and -, beginning with a letter or digit", what, s)
		}
	}
	return nil
}

// ValidASCII says in one sentence what keeps s from being at most limit printable ASCII characters; empty is valid.
func ValidASCII(what, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("the %s has %d bytes; at most %d", what, len(s), limit)
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return fmt.Errorf("the %s has byte 0x%02x; accepted are printable ASCII characters", what, c)
		}
	}
	return nil
}
