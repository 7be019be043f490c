package fake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// disk is what a fake disk holds: how often it was booted, and from what.
type disk struct {
	Bytes   uint64
	KeyHash []byte
	Base    string
	Boots   uint64
}

// emptyDiskBytes is what a new encrypted overlay takes on a real host.
const emptyDiskBytes = 200 << 10

func hashKey(key hypervisor.DiskKey) []byte {
	sum := sha256.Sum256(key)
	return sum[:]
}

// nameSeparator is between a VM's id and the name of a disk that is not its root.
const nameSeparator = "+"

// diskFile is the name of a disk's file.
func diskFile(id hypervisor.DiskID) string {
	if id.Name == hypervisor.RootDisk {
		return string(id.VM)
	}
	return string(id.VM) + nameSeparator + id.Name
}

func (d *Driver) diskPath(id hypervisor.DiskID) string {
	return filepath.Join(d.cfg.Dir, "disks", diskFile(id))
}

func (d *Driver) readDisk(id hypervisor.DiskID) (disk, error) {
	var k disk
	err := readJSON(d.diskPath(id), &k)
	if errors.Is(err, fs.ErrNotExist) {
		return k, fmt.Errorf("%s: %w", id, hypervisor.ErrNoDisk)
	}
	return k, err
}

// CreateDisk implements hypervisor.Disks.
func (d *Driver) CreateDisk(ctx context.Context, k hypervisor.Disk) error {
	if err := k.Validate(); err != nil {
		return err
	}
	unlock, err := d.ops.Lock(ctx, k.VM)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.readDisk(k.DiskID); !errors.Is(err, hypervisor.ErrNoDisk) {
		return err
	}
	if s, err := d.space(); err != nil || d.faults.full || d.faults.room > 0 && s.Free < k.Bytes {
		return errors.Join(err, fmt.Errorf("create %s: %w", k.DiskID, hypervisor.ErrNoSpace))
	}
	return writeJSON(d.diskPath(k.DiskID), disk{Bytes: k.Bytes, KeyHash: hashKey(k.Key), Base: k.Base})
}

// HasDisk implements hypervisor.Disks.
func (d *Driver) HasDisk(_ context.Context, id hypervisor.DiskID) (bool, error) {
	if err := id.Validate(); err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.readDisk(id)
	if errors.Is(err, hypervisor.ErrNoDisk) {
		return false, nil
	}
	return err == nil, err
}

// DiskBytes is the size of a VM's root disk.
func (d *Driver) DiskBytes(id vm.ID) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, err := d.readDisk(hypervisor.Root(id))
	return k.Bytes, err
}

// ResizeDisk implements hypervisor.Disks.
func (d *Driver) ResizeDisk(ctx context.Context, id hypervisor.DiskID, size uint64, key hypervisor.DiskKey) error {
	if err := id.Validate(); err != nil {
		return err
	}
	unlock, err := d.ops.Lock(ctx, id.VM)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	k, err := d.readDisk(id)
	switch {
	case err != nil:
		return err
	case size < k.Bytes || size%512 != 0:
		return fmt.Errorf("%w: resize %s from %d to %d bytes", hypervisor.ErrInvalid, id, k.Bytes, size)
	case size == k.Bytes:
		return nil
	}
	m := d.vms[id.VM]
	open := m != nil && m.State.Alive()
	switch {
	case !open && string(k.KeyHash) != string(hashKey(key)):
		return fmt.Errorf("resize %s: %w", id, hypervisor.ErrWrongKey)
	case d.faults.full:
		return fmt.Errorf("resize %s: %w", id, hypervisor.ErrNoSpace)
	}
	if open {
		if err := d.up(); err != nil {
			return err
		}
	}
	k.Bytes = size
	return writeJSON(d.diskPath(id), k)
}

// TrashDisk implements hypervisor.Disks.
func (d *Driver) TrashDisk(ctx context.Context, id hypervisor.DiskID) error {
	if err := id.Validate(); err != nil {
		return err
	}
	unlock, err := d.ops.Lock(ctx, id.VM)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.vms[id.VM]; m != nil && m.State.Alive() {
		return fmt.Errorf("trash %s, which is %s: %w", id, m.State, hypervisor.ErrState)
	}
	return d.trash(id)
}

// trash moves a disk, if there is one, under the time of its trashing.
func (d *Driver) trash(id hypervisor.DiskID) error {
	to := filepath.Join(d.cfg.Dir, "trash", fmt.Sprintf("%s.%d", diskFile(id), time.Now().UnixNano()))
	if err := os.Rename(d.diskPath(id), to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("trash %s: %w", id, err)
	}
	return nil
}

// trashAll moves every disk of a VM.
func (d *Driver) trashAll(id vm.ID) error {
	others, err := filepath.Glob(d.diskPath(hypervisor.Root(id)) + nameSeparator + "*")
	if err != nil {
		return fmt.Errorf("fake hypervisor: %w", err)
	}
	err = d.trash(hypervisor.Root(id))
	for _, path := range others {
		_, name, _ := strings.Cut(filepath.Base(path), nameSeparator)
		err = errors.Join(err, d.trash(hypervisor.DiskID{VM: id, Name: name}))
	}
	return err
}

// BaseImages implements hypervisor.Inventory.
func (d *Driver) BaseImages(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var bases []string
	for _, dir := range []string{"disks", "trash"} {
		paths, err := filepath.Glob(filepath.Join(d.cfg.Dir, dir, "*"))
		if err != nil {
			return nil, fmt.Errorf("fake hypervisor: %w", err)
		}
		for _, path := range paths {
			var k disk
			if err := readJSON(path, &k); err != nil {
				return nil, err
			}
			bases = append(bases, k.Base)
		}
	}
	return bases, nil
}

// trashed lists what is in the trash of a disk's file, or of all for "": path to time.
func (d *Driver) trashed(file string) (map[string]time.Time, error) {
	dir := filepath.Join(d.cfg.Dir, "trash")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("fake hypervisor: %w", err)
	}
	found := make(map[string]time.Time)
	for _, e := range entries {
		owner, stamp, _ := strings.Cut(e.Name(), ".")
		ns, err := strconv.ParseInt(stamp, 10, 64)
		if err == nil && (file == "" || owner == file) {
			found[filepath.Join(dir, e.Name())] = time.Unix(0, ns)
		}
	}
	return found, nil
}

// RestoreDisk implements hypervisor.Disks.
func (d *Driver) RestoreDisk(ctx context.Context, id hypervisor.DiskID) error {
	if err := id.Validate(); err != nil {
		return err
	}
	unlock, err := d.ops.Lock(ctx, id.VM)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.readDisk(id); !errors.Is(err, hypervisor.ErrNoDisk) {
		return errors.Join(fmt.Errorf("restore %s over another: %w", id, hypervisor.ErrState), err)
	}
	found, err := d.trashed(diskFile(id))
	if err != nil {
		return err
	}
	var newest string
	for path, at := range found {
		if newest == "" || at.After(found[newest]) {
			newest = path
		}
	}
	if newest == "" {
		return fmt.Errorf("restore %s: %w", id, hypervisor.ErrNoDisk)
	}
	return os.Rename(newest, d.diskPath(id))
}

// Space implements hypervisor.Disks: a disk takes what its guest may write. There is room for 1 PiB unless SetRoom said otherwise.
func (d *Driver) Space(context.Context) (hypervisor.Space, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.space()
}

func (d *Driver) space() (s hypervisor.Space, err error) {
	paths, err := filepath.Glob(filepath.Join(d.cfg.Dir, "disks", "*"))
	if err != nil {
		return s, fmt.Errorf("fake hypervisor: %w", err)
	}
	for _, path := range paths {
		var k disk
		if err := readJSON(path, &k); err != nil {
			return s, err
		}
		s.Used += k.Bytes
	}
	found, err := d.trashed("")
	if err != nil {
		return s, err
	}
	var trash uint64
	for path, at := range found {
		var k disk
		if err := readJSON(path, &k); err != nil {
			return s, err
		}
		trash += k.Bytes
		s.Trash = append(s.Trash, hypervisor.Trashed{VM: trashedOf(path), At: at, Bytes: k.Bytes})
	}
	slices.SortFunc(s.Trash, func(a, b hypervisor.Trashed) int { return a.At.Compare(b.At) })
	room := uint64(1 << 50)
	if d.faults.room > 0 {
		room = d.faults.room
	}
	s.Free = room - min(room, s.Used+trash)
	return s, nil
}

// trashedOf is the VM whose disk lies there.
func trashedOf(path string) vm.ID {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	name, _, _ = strings.Cut(name, nameSeparator)
	return vm.ID(name)
}

// Discard implements hypervisor.Disks.
func (d *Driver) Discard(_ context.Context, t hypervisor.Trashed) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	found, err := d.trashed("")
	if err != nil {
		return err
	}
	for path, at := range found {
		if trashedOf(path) == t.VM && at.Equal(t.At) {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("discard from the trash: %w", err)
			}
		}
	}
	return nil
}
