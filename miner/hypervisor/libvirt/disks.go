package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	lv "github.com/digitalocean/go-libvirt"
	"golang.org/x/sys/unix"

	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/libvirt/overlay"
)

// CreateDisk implements hypervisor.Disks.
func (d *Driver) CreateDisk(ctx context.Context, k hypervisor.Disk) error {
	if err := k.Validate(); err != nil {
		return err
	}
	unlock, err := d.lock(ctx, k.VM)
	if err != nil {
		return err
	}
	defer unlock()
	if has, err := exists(d.disk(k.DiskID)); err != nil || has {
		return err
	}
	if err := checkBase(ctx, k); err != nil {
		return err
	}
	if err := d.noSpace(d.cfg.MinFreeBytes); err != nil {
		return fmt.Errorf("create %s: %w", k.DiskID, err)
	}
	if err := d.makeDisk(k); err != nil {
		return errors.Join(fmt.Errorf("create %s: %w", k.DiskID, err), d.noSpace(0))
	}
	return nil
}

// checkBase refuses a base that refers to other files, which would be read
// with the hypervisor's rights, and one that does not fit.
func checkBase(ctx context.Context, k hypervisor.Disk) error {
	base, err := describe(ctx, k.Base, k.BaseFormat)
	if err != nil {
		return fmt.Errorf("base image of %s: %w", k.DiskID, err)
	}
	switch {
	case base.Backing != "" || base.Extra.Data.File != "":
		return fmt.Errorf("%w: base image %s refers to another file", hypervisor.ErrInvalid, k.Base)
	case base.Bytes > k.Bytes:
		return fmt.Errorf("%w: base image %s of %d bytes is larger than the disk of %d", hypervisor.ErrInvalid, k.Base, base.Bytes, k.Bytes)
	}
	return nil
}

// makeDisk makes the overlay under another name first: what bears the disk's
// name is complete.
func (d *Driver) makeDisk(k hypervisor.Disk) (err error) {
	path := d.disk(k.DiskID)
	dir, part := filepath.Dir(path), path+".part"
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // QEMU's user passes through
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(part), removeIfThere(path), removeIfEmpty(dir))
		}
	}()
	if err := removeIfThere(part); err != nil {
		return err
	}
	if err := fault.Point("libvirt.disk_begun"); err != nil {
		return err
	}
	if err := overlay.Create(part, overlay.Spec{
		Bytes: k.Bytes, Base: k.Base, BaseFormat: k.BaseFormat, Passphrase: k.Key.Passphrase(),
	}); err != nil {
		return err
	}
	if err := fault.Point("libvirt.disk_written"); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	if err := fault.Point("libvirt.disk_named"); err != nil {
		return err
	}
	return errors.Join(syncFile(dir), syncFile(filepath.Dir(dir)))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeIfEmpty removes a folder that nothing is in.
func removeIfEmpty(dir string) error {
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	return nil
}

// syncFile brings a file or folder to the disk.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// noSpace fails if less than want bytes, or next to nothing, is free for disks.
func (d *Driver) noSpace(want uint64) error {
	const nothing = 1 << 20
	free, err := d.free()
	if err != nil {
		return err
	}
	if free < max(want, nothing) {
		return fmt.Errorf("%w: %d bytes free in %s", hypervisor.ErrNoSpace, free, d.cfg.StateDir)
	}
	return nil
}

// free bytes on the filesystem of the disks.
func (d *Driver) free() (uint64, error) {
	var about unix.Statfs_t
	if err := unix.Statfs(d.cfg.StateDir, &about); err != nil {
		return 0, fmt.Errorf("free space in %s: %w", d.cfg.StateDir, err)
	}
	return about.Bavail * uint64(about.Bsize), nil //nolint:gosec // a block's size is positive
}

// HasDisk implements hypervisor.Disks.
func (d *Driver) HasDisk(_ context.Context, id hypervisor.DiskID) (bool, error) {
	if err := id.Validate(); err != nil {
		return false, err
	}
	return exists(d.disk(id))
}

// ResizeDisk implements hypervisor.Disks.
func (d *Driver) ResizeDisk(ctx context.Context, id hypervisor.DiskID, size uint64, key hypervisor.DiskKey) error {
	unlock, err := d.lockDisk(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if has, err := exists(d.disk(id)); err != nil || !has {
		return errors.Join(fmt.Errorf("resize %s: %w", id, hypervisor.ErrNoDisk), err)
	}
	now, err := describe(ctx, d.disk(id), hypervisor.FormatQcow2)
	switch {
	case err != nil:
		return fmt.Errorf("resize %s: %w", id, err)
	case size < now.Bytes || size%512 != 0:
		return fmt.Errorf("%w: resize %s from %d to %d bytes", hypervisor.ErrInvalid, id, now.Bytes, size)
	case size == now.Bytes:
		return nil
	}
	open, err := inUse(d.disk(id))
	if err != nil {
		return fmt.Errorf("resize %s: %w", id, err)
	}
	if open { // the root disk: no other is attached
		err = do(ctx, d.link, func(l *lv.Libvirt) error {
			return l.DomainBlockResize(lv.Domain{Name: d.domainName(id.VM), UUID: uuidOf(id.VM)}, rootTarget, size, lv.DomainBlockResizeBytes)
		})
	} else {
		err = resizeOverlay(ctx, d.disk(id), size, key)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("resize %s: %w", id, err), d.noSpace(0))
	}
	return fault.Point("libvirt.disk_grown")
}

// BaseImages implements hypervisor.Inventory.
func (d *Driver) BaseImages(context.Context) ([]string, error) {
	var bases []string
	for _, dir := range []string{d.disksDir(), d.trashDir()} {
		// A disk that is being made has no name yet.
		paths, err := filepath.Glob(filepath.Join(dir, "*", "*"+diskSuffix))
		if err != nil {
			return nil, fmt.Errorf("list disks: %w", err)
		}
		for _, path := range paths {
			base, err := overlay.Base(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // gone meanwhile
			}
			if err != nil {
				return nil, fmt.Errorf("base image of a disk: %w", err)
			}
			bases = append(bases, base)
		}
	}
	return bases, nil
}

// inUse tells whether a process has the image open: QEMU locks what it uses,
// and the kernel drops the locks of the dead. It needs no libvirtd.
func inUse(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: 0, Len: 0}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return false, fmt.Errorf("locks on %s: %w", path, err)
	}
	return lock.Type != unix.F_UNLCK, nil
}
