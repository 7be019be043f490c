package node

import (
	"strings"
	"testing"
)

func TestValidEndpoint(t *testing.T) {
	for _, s := range []string{"node.example:7070", "127.0.0.1:1", "[fd00::1]:65535", "a:80"} {
		if err := ValidEndpoint(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", "a", "a:", "a:0", "a:65536", ":80", "a b:80", "a/b:80", "http://a:80", "a:http", "é:80", "-rf:80", "a..b:80", ".:80", "a-:80", strings.Repeat("a", 255) + ":1"} {
		if ValidEndpoint(s) == nil {
			t.Errorf("%q accepted", s)
		}
	}
}
