package device

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	wireVersion = 1
	maxRequest  = 1 << 10
	maxReply    = 4 << 10
	// maxPath is what fits into a unix socket's address on every system.
	maxPath = 103
)

type request struct {
	Version   int            `json:"v"`
	Target    netip.AddrPort `json:"target,omitzero"`
	TimeoutMS int64          `json:"timeout_ms,omitempty"`
}

type reply struct {
	OK    bool   `json:"ok,omitempty"`
	Error string `json:"error,omitempty"`
	Kind  string `json:"kind,omitempty"`
}

// Kinds of a refusal.
const (
	KindTimeout = "timeout" // nobody answered in time; trying again may help
	KindRefused = "refused" // the host is there, the port is not
	KindBusy    = "busy"    // too many streams
	KindStart   = "start"   // the mesh did not come up
	KindFailed  = "failed"  // anything else
)

func kindOf(err error) string {
	var n net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return KindRefused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &n) && n.Timeout():
		return KindTimeout
	}
	return KindFailed
}

var errLine = errors.New("line is malformed or too long")

// readLine reads one line of JSON into v. The reader's buffer bounds the line,
// and keeps what follows it.
func readLine(r *bufio.Reader, v any) error {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("%w: over %d bytes", errLine, r.Size())
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("%w: %w", errLine, err)
	}
	return nil
}

func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

func refusal(kind string, err error) reply {
	text := err.Error()
	if len(text) > maxReply/8 { // JSON may need six bytes for one
		text = text[:maxReply/8]
	}
	return reply{Error: string(bytes.ToValidUTF8([]byte(text), nil)), Kind: kind}
}

// timeout of a request, within the server's own bound.
func (r request) timeout(atMost time.Duration) time.Duration {
	if r.TimeoutMS <= 0 || r.TimeoutMS > atMost.Milliseconds() {
		return atMost
	}
	return time.Duration(r.TimeoutMS) * time.Millisecond
}

// checkPath names the limit that the system would only call an invalid argument.
func checkPath(path string) error {
	if path == "" || len(path) > maxPath {
		return fmt.Errorf("socket path %q is not 1 to %d bytes long", path, maxPath)
	}
	return nil
}
