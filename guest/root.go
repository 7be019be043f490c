package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// An image lets its root filesystem follow a larger disk when it starts. The
// agent does it for a disk that grows while the VM runs.

const (
	// growTimeout bounds one program of those that grow the root.
	growTimeout = 5 * time.Minute
	// slack is what a partition table may leave free, in sectors of 512 bytes.
	slack = 4096
	// growOptOut is cloud-init's own word for leaving the root as it is.
	growOptOut = "etc/growroot-disabled"
)

// Root is where the root filesystem lies.
type Root struct {
	// Disk and Device are kernel names such as "vda" and "vda2"; the same when
	// the filesystem fills the disk.
	Disk, Device string
	// Partition is the device's number on the disk, 0 for none.
	Partition int
	// Type of the filesystem, such as "ext4".
	Type string
}

// FindRoot tells where the root filesystem lies. It is an error for one that
// lies on several disks, or in no partition of one.
func (s *System) FindRoot() (Root, error) {
	mounts, err := os.ReadFile(s.path("proc/self/mountinfo"))
	if err != nil {
		return Root{}, fmt.Errorf("find root: %w", err)
	}
	var r Root
	for line := range strings.Lines(string(mounts)) {
		// 25 1 254:2 / / rw,noatime shared:1 - ext4 /dev/vda2 rw
		mount, source, ok := strings.Cut(line, " - ")
		f, from := strings.Fields(mount), strings.Fields(source)
		if !ok || len(f) < 5 || len(from) < 2 || f[4] != "/" {
			continue
		}
		r.Type = from[0]
		if link, err := os.Readlink(s.path("sys/dev/block", f[2])); err == nil {
			r.Device = filepath.Base(link)
		} else if strings.HasPrefix(from[1], "/dev/") {
			r.Device = filepath.Base(from[1]) // btrfs has numbers of its own
		}
	}
	if r.Device == "" {
		return Root{}, errors.New("find root: it lies on no block device")
	}
	number, err := os.ReadFile(s.block(r.Device, "partition"))
	if errors.Is(err, os.ErrNotExist) {
		r.Disk = r.Device
		return r, nil
	}
	if r.Partition, err = strconv.Atoi(strings.TrimSpace(string(number))); err != nil {
		return Root{}, fmt.Errorf("find root: %s: %w", r.Device, err)
	}
	// vda2 is on vda, nvme0n1p2 on nvme0n1.
	r.Disk = strings.TrimSuffix(r.Device, strconv.Itoa(r.Partition))
	if _, err := os.Stat(s.block(r.Disk, "size")); err != nil {
		r.Disk = strings.TrimSuffix(r.Disk, "p")
	}
	return r, nil
}

func (s *System) block(parts ...string) string {
	return s.path(append([]string{"sys/class/block"}, parts...)...)
}

// DiskSectors is the size of the root's disk, in sectors of 512 bytes.
func (s *System) DiskSectors(r Root) (uint64, error) { return s.sectors(r.Disk, "size") }

func (s *System) sectors(parts ...string) (uint64, error) {
	text, err := os.ReadFile(s.block(parts...))
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// Grow lets the root's partition and filesystem follow its disk. What is large
// enough stays as it is; so does everything where the image says so.
func (s *System) Grow(ctx context.Context, r Root) error {
	if _, err := os.Stat(s.path(growOptOut)); err == nil {
		return nil
	}
	if err := s.growPartition(ctx, r); err != nil {
		return fmt.Errorf("grow partition %s: %w", r.Device, err)
	}
	if err := s.growFilesystem(ctx, r); err != nil {
		return fmt.Errorf("grow filesystem on %s: %w", r.Device, err)
	}
	return nil
}

func (s *System) growPartition(ctx context.Context, r Root) error {
	if r.Partition == 0 {
		return nil
	}
	disk, err := s.DiskSectors(r)
	if err != nil {
		return err
	}
	start, err := s.sectors(r.Device, "start")
	if err != nil {
		return err
	}
	size, err := s.sectors(r.Device, "size")
	if err != nil || disk <= start+size+slack {
		return err
	}
	number, path := strconv.Itoa(r.Partition), "/dev/"+r.Disk
	if s.has("growpart") {
		// 1 says that nothing can be done: another partition follows.
		err := s.run(ctx, "", "growpart", path, number)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
			return nil
		}
		return err
	}
	// The partition is in use: sfdisk writes the table, partx tells the kernel.
	if err := s.run(ctx, ", +\n", "sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "-N", number, path); err != nil {
		return err
	}
	return s.run(ctx, "", "partx", "-u", "-n", number, path)
}

func (s *System) growFilesystem(ctx context.Context, r Root) error {
	switch r.Type {
	case "ext2", "ext3", "ext4":
		return s.run(ctx, "", "resize2fs", "/dev/"+r.Device)
	case "xfs":
		return s.run(ctx, "", "xfs_growfs", "/")
	case "btrfs":
		return s.run(ctx, "", "btrfs", "filesystem", "resize", "max", "/")
	default:
		return fmt.Errorf("it is %s, which is not known how to grow", r.Type)
	}
}

// toolPath is where the image's own programs are; an agent may be started with none.
const toolPath = "usr/local/sbin:usr/local/bin:usr/sbin:usr/bin:sbin:bin"

func (s *System) tool(name string) (string, bool) {
	for dir := range strings.SplitSeq(toolPath, ":") {
		path := s.path(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 && !info.IsDir() {
			return path, true
		}
	}
	return "", false
}

func (s *System) has(tool string) bool {
	_, ok := s.tool(tool)
	return ok
}

// run runs a program of the image with words on its standard input.
func (s *System) run(ctx context.Context, input, name string, args ...string) error {
	path, ok := s.tool(name)
	if !ok {
		return fmt.Errorf("the image has no %s", name)
	}
	ctx, cancel := context.WithTimeout(ctx, growTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(input)
	var words []string
	for dir := range strings.SplitSeq(toolPath, ":") {
		words = append(words, s.path(dir))
	}
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+strings.Join(words, ":"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, clip(strings.TrimSpace(said.String())))
	}
	return nil
}

// keepRoot lets the root filesystem follow its disk until ctx ends.
func (a *Agent) keepRoot(ctx context.Context) error {
	r, err := a.c.System.FindRoot()
	if err != nil {
		a.c.Log.Warn("the root filesystem does not follow its disk", "error", err)
		return nil
	}
	size, err := a.c.System.DiskSectors(r)
	for {
		if err != nil {
			a.c.Log.Warn("read size of the root disk", "disk", r.Disk, "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * a.c.Pause):
		}
		var now uint64
		if now, err = a.c.System.DiskSectors(r); err != nil || now <= size {
			continue
		}
		if err := a.retry(ctx, "disk", func() error { return a.c.System.Grow(ctx, r) }); err != nil {
			return err
		}
		a.c.Log.Info("root filesystem grown", "disk", r.Disk, "sectors", now)
		size = now
	}
}
