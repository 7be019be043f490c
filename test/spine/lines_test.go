package spine

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

// ours tells what a network of these tests leaves from what tests beside it make and remove.
func ours(left string) bool { return strings.Contains(left, "hipt") }
