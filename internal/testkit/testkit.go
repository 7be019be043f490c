// Package testkit is what tests of many packages need alike. Only tests import it.
package testkit

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"
)

// Eventually calls ok until it returns nil, for at most d of real time, and then fails the test with its last error.
// Where everything happens inside one process, testing/synctest is the better way.
func Eventually(t testing.TB, d time.Duration, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(d)
	pause := time.Millisecond
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v still: %v", d, err)
		}
		time.Sleep(pause)
		pause = min(2*pause, 100*time.Millisecond)
	}
}

// untilTimeout is how long Until waits: for whatever takes milliseconds, on a host that is busy with other tests.
const untilTimeout = 20 * time.Second

// Until waits until something is so, and fails the test if that takes too long.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	Within(t, untilTimeout, what, ok)
}

// Within is Until for what has to be so after at most d.
func Within(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	Eventually(t, d, func() error {
		if ok() {
			return nil
		}
		return errors.New("waiting for " + what)
	})
}

// Check fails the test at once if there is an error.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Listen opens a TCP port on the loopback address that the system picks. The test closes it at its end, if whoever took
// it over has not.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // closed already is well
	return l
}

// ShortDir returns a folder with a path short enough for a unix socket in it (107 bytes), which t.TempDir's may not be.
func ShortDir(t testing.TB) string {
	t.Helper()
	return dirIn(t, "")
}

// MemoryDir is ShortDir in memory where the host allows that, for what is synced to disk often. It outlives a process
// that is killed, as a disk does.
func MemoryDir(t testing.TB) string {
	t.Helper()
	parent := "/dev/shm"
	if probe, err := os.CreateTemp(parent, "t"); err != nil {
		parent = ""
	} else {
		_, _ = probe.Close(), os.Remove(probe.Name())
	}
	return dirIn(t, parent)
}

func dirIn(t testing.TB, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "t") //nolint:usetesting // its name is what is wrong
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Logger writes to the test's log, so that it is seen if the test fails. What is logged after the test ended is lost.
func Logger(t testing.TB) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}
