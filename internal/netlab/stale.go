package netlab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockBase makes the folder of all labs and locks it against other processes
// that make or remove labs.
func lockBase() (unlock func(), err error) {
	for {
		if err := os.MkdirAll(baseDir, 0o755); err != nil {
			return nil, fmt.Errorf("folder of labs: %w", err)
		}
		dir, err := os.Open(baseDir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by the last lab's end, between the two lines above
		}
		if err != nil {
			return nil, fmt.Errorf("folder of labs: %w", err)
		}
		if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
			return nil, errors.Join(fmt.Errorf("lock folder of labs: %w", err), dir.Close())
		}
		held, err := dir.Stat()
		if err != nil {
			return nil, errors.Join(err, dir.Close())
		}
		if now, err := os.Stat(baseDir); err == nil && os.SameFile(held, now) {
			return func() { _ = dir.Close() }, nil
		}
		_ = dir.Close() // locked a folder that is no more
	}
}

// A process is named by pid and start time, for pids come again.
func processName(pid int) (string, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false
	}
	_, rest, found := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	fields := strings.Fields(rest)
	const state, startTime = 0, 19 // counted after the name, which is the second of all
	if !found || len(fields) <= startTime || fields[state] == "Z" {
		return "", false
	}
	return fmt.Sprintf("%d %s", pid, fields[startTime]), true
}

func writeOwner(dir string) error { return writeProcess(filepath.Join(dir, "owner"), os.Getpid()) }

func writeInit(dir string, pid int) error { return writeProcess(filepath.Join(dir, "init"), pid) }

func writeProcess(path string, pid int) error {
	name, alive := processName(pid)
	if !alive {
		return fmt.Errorf("process %d has ended", pid)
	}
	return os.WriteFile(path, []byte(name), 0o600)
}

// readProcess tells which process a file names, if that one still runs.
func readProcess(path string) (pid int, alive bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	number, _, _ := strings.Cut(string(text), " ")
	pid, err = strconv.Atoi(number)
	if err != nil {
		return 0, false
	}
	name, alive := processName(pid)
	return pid, alive && name == string(text)
}

// sweep removes the labs whose owners are gone. The base is locked.
func sweep() error {
	entries, err := os.ReadDir(baseDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(baseDir, e.Name())
		if !e.IsDir() {
			continue
		}
		if _, alive := readProcess(filepath.Join(dir, "owner")); alive {
			continue
		}
		if pid, alive := readProcess(filepath.Join(dir, "init")); alive {
			errs = append(errs, unix.Kill(pid, unix.SIGKILL), awaitEnd(filepath.Join(dir, "init")))
		}
		for _, path := range labCgroups(e.Name()) {
			errs = append(errs, removeCgroup(path))
		}
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

func awaitEnd(path string) error {
	for range 200 {
		if _, alive := readProcess(path); !alive {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the process in %s does not end", path)
}

// sweepBase removes what the last lab leaves: the folder of labs and the mount
// points that were made for libvirt. The base is locked.
func sweepBase() error {
	entries, err := os.ReadDir(baseDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != madePoints {
			return nil // another lab; removing a mount point would unmount it there
		}
	}
	text, err := os.ReadFile(filepath.Join(baseDir, madePoints))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for path := range strings.Lines(string(text)) {
		_ = os.Remove(strings.TrimSpace(path)) // unless somebody else fills it by now
	}
	return os.RemoveAll(baseDir)
}
