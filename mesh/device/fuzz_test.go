package device

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"time"
)

// Whatever is written to the device's socket, a request is bounded and what
// follows it is the stream's, untouched.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"v":1,"target":"100.64.0.2:22","timeout_ms":5000}`+"\n"), []byte("SSH-2.0-OpenSSH"))
	f.Add([]byte(`{"v":1}`+"\n"), []byte{})
	f.Add([]byte(`{"v":-1,"target":"nonsense","timeout_ms":-9223372036854775808}`+"\n"), []byte("x"))
	f.Add(bytes.Repeat([]byte("{"), maxRequest+1), []byte{})
	f.Fuzz(func(t *testing.T, line, rest []byte) {
		in := bufio.NewReaderSize(bytes.NewReader(append(bytes.Clone(line), rest...)), maxRequest)
		var req request
		if err := readLine(in, &req); err != nil {
			if !errors.Is(err, errLine) && !errors.Is(err, io.EOF) {
				t.Fatalf("neither malformed nor ended: %v", err)
			}
			if len(refusal(KindFailed, err).Error) > maxReply {
				t.Fatal("a refusal larger than is read")
			}
			return
		}
		if d := req.timeout(time.Minute); d <= 0 || d > time.Minute {
			t.Fatalf("waits %s", d)
		}
		end := bytes.IndexByte(append(bytes.Clone(line), rest...), '\n')
		want := append(bytes.Clone(line), rest...)[end+1:]
		if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the stream begins with %q, want %q: %v", got, want, err)
		}
	})
}
