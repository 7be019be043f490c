package device

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of starting a server.
var (
	ErrAlreadyRunning = errors.New("another process holds this device's mesh address")
	ErrUnsafe         = errors.New("others than the user can write here")
)

const (
	lockPoll = 20 * time.Millisecond
	// lockWait is how long a starter waits for one that is just ending.
	lockWait = 15 * time.Second
)

// lock takes the one lock. While another holds it and answers on the socket,
// that is ErrAlreadyRunning at once; a holder that does not answer is starting
// or ending, and waited for.
func lock(ctx context.Context, o Options) (*os.File, error) {
	f, err := os.OpenFile(o.LockPath, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of the device: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", o.LockPath, err)
		}
		if ping(ctx, o.SocketPath) == nil {
			_ = f.Close()
			return nil, ErrAlreadyRunning
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("%w, and does not answer: %w", ErrAlreadyRunning, ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}

// folder makes the socket's folder if it is missing, the user's alone.
func folder(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder of the socket: %w", err)
	}
	return own(dir)
}

// clearLeftover takes a socket that a crash left behind out of the way. Only the
// holder of the lock may.
func clearLeftover(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("socket: %w", err)
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("%s is in the way: it is not a socket", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove a left-over socket: %w", err)
	}
	return nil
}

// own checks that nobody else could put another socket in place of ours.
func own(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("folder of the socket: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%w: %s, mode %s", ErrUnsafe, dir, info.Mode())
	}
	return nil
}
