package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	wire "github.com/hippius/compute/core/guest"
)

// System is the guest's own system, seen under Root.
type System struct {
	// Root is "/", or another folder in tests.
	Root string
}

func (s *System) path(parts ...string) string {
	return filepath.Join(append([]string{s.Root}, parts...)...)
}

// OpenPort opens the channel to the miner. It does not wait for one to appear.
func (s *System) OpenPort() (*os.File, error) {
	path := s.path("dev/virtio-ports", wire.ChannelName)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	// Without udev nobody made the link: the kernel tells the port's name.
	names, err := filepath.Glob(s.path("sys/class/virtio-ports", "*", "name"))
	if err != nil {
		return nil, fmt.Errorf("list virtio ports: %w", err)
	}
	for _, file := range names {
		name, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(name)) == wire.ChannelName {
			return os.OpenFile(s.path("dev", filepath.Base(filepath.Dir(file))), os.O_RDWR, 0)
		}
	}
	return nil, fmt.Errorf("virtio port %s: %w", wire.ChannelName, os.ErrNotExist)
}

// StepClock moves the clock by d at once.
func (s *System) StepClock(d time.Duration) error {
	ts, err := unix.TimeToTimespec(time.Now().Add(d))
	if err != nil {
		return fmt.Errorf("step clock: %w", err)
	}
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
		return fmt.Errorf("step clock: %w", err)
	}
	return nil
}

// Uptime since the kernel started.
func (s *System) Uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // cannot fail on Linux for this clock
	}
	return time.Duration(ts.Nano())
}

// End powers the VM off or restarts it cleanly, by asking process 1.
func (s *System) End(reboot bool) error {
	// systemd: SIGRTMIN+4 is poweroff.target, SIGRTMIN+5 reboot.target.
	const sigrtmin = 34
	sig := syscall.Signal(sigrtmin + 4)
	if reboot {
		sig = syscall.Signal(sigrtmin + 5)
	}
	if _, err := os.Stat(s.path("run/systemd/system")); err != nil {
		// busybox and sysvinit: SIGUSR2 powers off, SIGTERM restarts.
		sig = syscall.SIGUSR2
		if reboot {
			sig = syscall.SIGTERM
		}
	}
	if err := syscall.Kill(1, sig); err != nil {
		return fmt.Errorf("ask process 1 to end: %w", err)
	}
	return nil
}
