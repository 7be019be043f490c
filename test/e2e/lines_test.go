package e2e

import (
	"bytes"
	"strings"
	"sync"
	"testing"
)

// lines writes whole lines to a test's log.
type lines struct {
	t    *testing.T
	mu   sync.Mutex
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.t.Log(string(line))
		l.rest = rest
	}
}

// realTag is that of the real networks of these tests.
const realTag = "hipt"

// ours tells what such a network leaves from what tests beside it make and remove.
func ours(left string) bool {
	_, rest, found := strings.Cut(left, realTag)
	return found && (rest == "" || rest[0] < 'a' || rest[0] > 'z')
}
