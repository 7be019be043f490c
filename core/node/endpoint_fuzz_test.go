package node

import (
	"net"
	"strings"
	"testing"
)

// FuzzValidEndpoint: what is accepted is one host and one port, whoever reads it.
func FuzzValidEndpoint(f *testing.F) {
	for _, s := range []string{"node.example:7070", "[fd00::1]:1", "[::1%eth0]:80", "-rf:80", "a b:80", "a:b:80", "1.2.3.4:065535"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := ValidEndpoint(s); err != nil {
			if len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\n\x1b\x00") {
				t.Errorf("the error is not fit to print: %q", err)
			}
			return
		}
		host, port, err := net.SplitHostPort(s)
		if err != nil || len(s) > MaxEndpointLen || strings.ContainsAny(s, " \t\r\n\x00/\\@%$`'\"<>&;|*?#{}()~!,=+_") || strings.HasPrefix(host, "-") {
			t.Errorf("%q accepted: %v", s, err)
		}
		if net.JoinHostPort(host, port) != s && "["+host+"]:"+port != s {
			t.Errorf("%q is also %q", s, net.JoinHostPort(host, port))
		}
	})
}
