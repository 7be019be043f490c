package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Disk is a disk with an ext4 filesystem that can lose its power: what was
// written to it and not synced is gone then, as on a real one. It is a sparse
// file behind a loop device; the kernel lets go of both with the last process
// that uses them.
type Disk struct {
	file   string
	device string
	// mount is attached nowhere. It keeps the filesystem from being synced and
	// ended when the labs end that have it mounted.
	mount *os.File
}

// NewDisk makes the file, or takes the one that is there, and switches the disk
// on. size is in bytes.
func NewDisk(ctx context.Context, file string, size int64) (*Disk, error) {
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		if err := format(ctx, file, size); err != nil {
			return nil, errors.Join(fmt.Errorf("make disk %s: %w", file, err), os.Remove(file))
		}
	}
	d := &Disk{file: file}
	if err := d.On(); err != nil {
		return nil, err
	}
	return d, nil
}

func format(ctx context.Context, file string, size int64) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	mkfs := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", file)
	if out, err := mkfs.CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	return nil
}

// On gives the disk power. The filesystem's journal is replayed.
func (d *Disk) On() error {
	if d.mount != nil {
		return nil
	}
	loop, err := attachLoop(d.file)
	if err != nil {
		return fmt.Errorf("switch disk %s on: %w", d.file, err)
	}
	defer func() { _ = loop.Close() }() // from now on the filesystem holds it
	// The journal is written only when somebody syncs, not every few seconds.
	d.mount, err = mountDetached(loop.Name(), map[string]string{"commit": "3600"}, "noinit_itable")
	if err != nil {
		return fmt.Errorf("switch disk %s on: %w", d.file, err)
	}
	d.device = loop.Name()
	return nil
}

// Mount mounts the disk in a lab; it stays until the lab ends.
func (d *Disk) Mount(ctx context.Context, l *Lab, dir string) error {
	if out, err := l.Command(ctx, "mount", "-t", "ext4", d.device, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount disk %s in lab %s: %w: %s", d.file, l.name, err, out)
	}
	return nil
}

// What the kernel's headers call EXT4_IOC_SHUTDOWN and
// EXT4_GOING_FLAGS_NOLOGFLUSH.
const (
	ext4Shutdown   = 0x8004587d
	ext4NoLogFlush = 2
)

// Cut takes the power away. All that used the disk should have ended: what
// still runs sees a broken one.
func (d *Disk) Cut() error {
	if d.mount == nil {
		return nil
	}
	// The mount is open as a path only, which takes no orders.
	root, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", d.mount.Fd()))
	if err != nil {
		return fmt.Errorf("cut the power of disk %s: %w", d.file, err)
	}
	how := uint32(ext4NoLogFlush)
	_, _, failed := unix.Syscall(unix.SYS_IOCTL, root.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&how)))
	if err := root.Close(); err != nil || failed != 0 {
		return fmt.Errorf("cut the power of disk %s: %w", d.file, errors.Join(failed, err))
	}
	return d.Close()
}

// Close switches the disk off in good order: what was written is on it.
func (d *Disk) Close() error {
	if d.mount == nil {
		return nil
	}
	err := d.mount.Close()
	d.mount = nil
	d.letGo()
	return err
}

// letGoTimeout bounds the wait for the kernel: what still uses the disk keeps it.
const letGoTimeout = 5 * time.Second

// letGo waits until the loop device has let go of the file. The namespaces of labs that ended are taken down a little
// later: switched on before that, the file would have two filesystems at work on it.
func (d *Disk) letGo() {
	behind := filepath.Join("/sys/block", filepath.Base(d.device), "loop/backing_file")
	for end := time.Now().Add(letGoTimeout); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if file, err := os.ReadFile(behind); err != nil || strings.TrimSpace(string(file)) != d.file {
			return
		}
	}
}

// attachLoop puts a file behind a loop device that goes away when nobody uses it.
func attachLoop(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // the device has its own handle
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("this host has no loop devices: %w", err)
	}
	defer func() { _ = control.Close() }()
	const tries = 20 // somebody else may take the free one first
	for range tries {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a loop device: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		set := unix.LoopConfig{Fd: uint32(f.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &set); err == nil {
			return loop, nil
		}
		_ = loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("set up a loop device: %w", err)
		}
	}
	return nil, errors.New("every loop device is taken")
}

// mountDetached mounts an ext4 filesystem without a place in any tree.
func mountDetached(device string, options map[string]string, flags ...string) (*os.File, error) {
	fs, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open ext4: %w", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigSetString(fs, "source", device); err != nil {
		return nil, fmt.Errorf("mount %s: %w", device, err)
	}
	for k, v := range options {
		if err := unix.FsconfigSetString(fs, k, v); err != nil {
			return nil, fmt.Errorf("mount %s with %s=%s: %w", device, k, v, err)
		}
	}
	for _, k := range flags {
		if err := unix.FsconfigSetFlag(fs, k); err != nil {
			return nil, fmt.Errorf("mount %s with %s: %w", device, k, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("mount %s: %w: %s", device, err, complaints(fs))
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", device, err)
	}
	return os.NewFile(uintptr(mount), device), nil
}

// complaints are what the kernel says of a mount that failed.
func complaints(fs int) string {
	var all []string
	buf := make([]byte, 1024)
	for {
		n, err := unix.Read(fs, buf)
		if err != nil || n <= 0 {
			return strings.Join(all, "; ")
		}
		all = append(all, strings.TrimSpace(string(buf[:n])))
	}
}
