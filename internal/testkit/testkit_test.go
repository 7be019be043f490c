package testkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// trial is a test inside the test: it fails without failing us.
type trial struct {
	testing.TB // never called
	failure    string
	ends       []func()
}

func (f *trial) Helper()                  {}
func (f *trial) Cleanup(fn func())        { f.ends = append(f.ends, fn) }
func (f *trial) Context() context.Context { return context.Background() }
func (f *trial) Output() io.Writer        { return io.Discard }
func (f *trial) Fatalf(format string, args ...any) {
	f.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// try runs body as a test and returns how it failed, if it did.
func try(body func(testing.TB)) string {
	f := &trial{}
	step := func(fn func()) {
		done := make(chan struct{})
		go func() { defer close(done); fn() }()
		<-done
	}
	step(func() { body(f) })
	for _, end := range slices.Backward(f.ends) {
		step(end)
	}
	return f.failure
}

func TestEventually(t *testing.T) {
	n := 0
	if said := try(func(t testing.TB) {
		Eventually(t, time.Minute, func() error {
			if n++; n < 4 {
				return errors.New("not yet")
			}
			return nil
		})
	}); said != "" || n != 4 {
		t.Errorf("failed with %q after %d calls", said, n)
	}
	if said := try(func(t testing.TB) {
		Eventually(t, 20*time.Millisecond, func() error { return errors.New("why it is not") })
	}); !strings.Contains(said, "why it is not") {
		t.Errorf("said %q", said)
	}
}

func TestUntil(t *testing.T) {
	n := 0
	if said := try(func(t testing.TB) { Until(t, "fourth call", func() bool { n++; return n == 4 }) }); said != "" || n != 4 {
		t.Errorf("failed with %q after %d calls", said, n)
	}
	synctest.Test(t, func(t *testing.T) {
		if said := try(func(t testing.TB) { Until(t, "answer", func() bool { return false }) }); !strings.Contains(said, "waiting for answer") {
			t.Errorf("said %q", said)
		}
	})
}

func TestShortDirHoldsSockets(t *testing.T) {
	for _, dir := range []string{ShortDir(t), MemoryDir(t)} {
		holdsSocket(t, dir)
	}
}

func holdsSocket(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, strings.Repeat("s", 60))
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestListenAndLogger(t *testing.T) {
	l := Listen(t)
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	Logger(t).Info("seen only if this fails")
}
