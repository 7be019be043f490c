package node

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// MaxEndpointLen bounds an endpoint, in bytes.
const MaxEndpointLen = 255

// ValidEndpoint says in one sentence what is wrong with the "host:port" that a program may be reached at.
func ValidEndpoint(s string) error {
	if err := checkEndpoint(s); err != nil {
		return fmt.Errorf("endpoint %.80q: %w; it must be a host name or IP address, a colon and a port, such as node.example:7070", s, err)
	}
	return nil
}

func checkEndpoint(s string) error {
	if len(s) > MaxEndpointLen {
		return fmt.Errorf("longer than %d bytes", MaxEndpointLen)
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
