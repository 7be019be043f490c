package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// onOwnThread runs f on an operating-system thread that is thrown away
// afterwards, so that f may change its namespaces. It is never the process's
// first thread: /proc/self is that one's view, and others read it.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		if unix.Gettid() == os.Getpid() {
			defer runtime.UnlockOSThread()
			done <- onOwnThread(f) // from a thread that is not this one
			return
		}
		done <- f()
	}()
	return <-done
}

// startOnLastingThread starts cmd from a thread that lives until cmd ends.
// A parent-death signal is sent when the *thread* that forked ends, and Go
// ends threads as it likes.
func startOnLastingThread(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		// Wait for the end without reaping: that is for the owner.
		var info unix.Siginfo
		for {
			err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	return <-started
}

// nsSet holds a lab's namespaces open; an open one stays even when the last
// process in it has ended.
type nsSet struct{ net, mnt, pid, ipc *os.File }

func openNS(pid int) (set nsSet, err error) {
	for _, ns := range []struct {
		name string
		file **os.File
	}{{"net", &set.net}, {"mnt", &set.mnt}, {"pid", &set.pid}, {"ipc", &set.ipc}} {
		*ns.file, err = os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, ns.name))
		if err != nil {
			set.close()
			return nsSet{}, err
		}
	}
	return set, nil
}

func (s *nsSet) close() {
	for _, f := range []*os.File{s.net, s.mnt, s.pid, s.ipc} {
		if f != nil {
			_ = f.Close()
		}
	}
	*s = nsSet{}
}

func setns(f *os.File, kind int) error {
	if f == nil {
		return errors.New("lab is closed")
	}
	if err := unix.Setns(int(f.Fd()), kind); err != nil {
		return fmt.Errorf("enter namespace: %w", err)
	}
	return nil
}
