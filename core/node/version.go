package node

import "fmt"

// MaxVersionLen bounds what a miner says of its program's version, in bytes.
const MaxVersionLen = 64

// ValidVersion says in one sentence what is wrong with a program's version; empty is valid.
func ValidVersion(s string) error {
	if len(s) > MaxVersionLen {
		return fmt.Errorf("the version has %d bytes; at most %d", len(s), MaxVersionLen)
	}
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '-' && c != '_' && c != '+' && c != '~') {
			return fmt.Errorf("the version has byte 0x%02x at place %d; accepted are letters, digits and, after the first, . - _ + ~", c, i)
		}
	}
	return nil
}
