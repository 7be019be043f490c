// Package endpoint checks the "host:port" that programs may be reached at.
package endpoint

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// MaxLength of an endpoint, in bytes.
const MaxLength = 255

// Validate says in one sentence what is wrong with an endpoint.
func Validate(s string) error {
	if err := check(s); err != nil {
		return fmt.Errorf("endpoint %.80q: %w; it must be a host name or IP address, a colon and a port, such as node.example:7070", s, err)
	}
	return nil
}

func check(s string) error {
	if len(s) > MaxLength {
		return fmt.Errorf("longer than %d bytes", MaxLength)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("no host and port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %.10q is not 1 to 65535", port)
	}
	if net.ParseIP(host) != nil {
		return nil
	}
	if host == "" {
		return errors.New("the host is missing")
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("%.80q is no host name", host)
		}
	}
	for _, c := range []byte(host) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '.' {
			return fmt.Errorf("the host has the character %q", c)
		}
	}
	return nil
}
