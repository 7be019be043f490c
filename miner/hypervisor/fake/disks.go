package fake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

func (d *Driver) diskPath(id vm.ID) string {
	return filepath.Join(d.cfg.Dir, "disks", string(id))
}

func (d *Driver) readDisk(id vm.ID) (disk, error) {
	var k disk
	err := readJSON(d.diskPath(id), &k)
	if errors.Is(err, fs.ErrNotExist) {
		return k, fmt.Errorf("vm %s: %w", id, hypervisor.ErrNoDisk)
	}
	return k, err
}

// CreateDisk implements vm.Disks.
func (d *Driver) CreateDisk(ctx context.Context, m hypervisor.Machine) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if len(m.DiskKey) != hypervisor.DiskKeyBytes {
		return fmt.Errorf("%w: vm %s: disk key of %d bytes", hypervisor.ErrInvalid, m.ID, len(m.DiskKey))
	}
	unlock, err := d.ops.Lock(ctx, m.ID)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.readDisk(m.ID); !errors.Is(err, hypervisor.ErrNoDisk) {
		return err
	}
	if d.faults.full {
		return fmt.Errorf("create disk of vm %s: %w", m.ID, hypervisor.ErrNoSpace)
	}
	return writeJSON(d.diskPath(m.ID), disk{Bytes: m.DiskBytes, KeyHash: hashKey(m.DiskKey), Base: m.BaseImage})
}

// HasDisk implements vm.Disks.
func (d *Driver) HasDisk(_ context.Context, id vm.ID) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.readDisk(id)
	if errors.Is(err, hypervisor.ErrNoDisk) {
		return false, nil
	}
	return err == nil, err
}

// DiskBytes is the size of id's disk.
func (d *Driver) DiskBytes(id vm.ID) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, err := d.readDisk(id)
	return k.Bytes, err
}

// ResizeDisk implements vm.Disks.
func (d *Driver) ResizeDisk(ctx context.Context, id vm.ID, size uint64, key hypervisor.DiskKey) error {
	unlock, err := d.ops.Lock(ctx, id)
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
		return fmt.Errorf("%w: resize disk of vm %s from %d to %d bytes", hypervisor.ErrInvalid, id, k.Bytes, size)
	case size == k.Bytes:
		return nil
	}
	m := d.machines[id]
	open := m != nil && m.State.Alive()
	switch {
	case !open && string(k.KeyHash) != string(hashKey(key)):
		return fmt.Errorf("resize disk of vm %s: %w", id, hypervisor.ErrWrongKey)
	case d.faults.full:
		return fmt.Errorf("resize disk of vm %s: %w", id, hypervisor.ErrNoSpace)
	}
	if open {
		if err := d.up(); err != nil {
			return err
		}
	}
	k.Bytes = size
	return writeJSON(d.diskPath(id), k)
}

// TrashDisk implements vm.Disks.
func (d *Driver) TrashDisk(ctx context.Context, id vm.ID) error {
	unlock, err := d.ops.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.machines[id]; m != nil && m.State.Alive() {
		return fmt.Errorf("trash disk of vm %s, which is %s: %w", id, m.State, hypervisor.ErrState)
	}
	return d.trash(id)
}

// trash moves id's disk, if any, under the moment of its trashing.
func (d *Driver) trash(id vm.ID) error {
	to := filepath.Join(d.cfg.Dir, "trash", fmt.Sprintf("%s.%d", id, time.Now().UnixNano()))
	if err := os.Rename(d.diskPath(id), to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("trash disk of vm %s: %w", id, err)
	}
	return nil
}

// BaseImages implements vm.Inventory.
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

// trashed lists what is in the trash: path to moment.
func (d *Driver) trashed(id vm.ID) (map[string]time.Time, error) {
	dir := filepath.Join(d.cfg.Dir, "trash")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("fake hypervisor: %w", err)
	}
	found := make(map[string]time.Time)
	for _, e := range entries {
		owner, stamp, _ := strings.Cut(e.Name(), ".")
		ns, err := strconv.ParseInt(stamp, 10, 64)
		if err == nil && (id == "" || owner == string(id)) {
			found[filepath.Join(dir, e.Name())] = time.Unix(0, ns)
		}
	}
	return found, nil
}

// RestoreDisk implements vm.Disks.
func (d *Driver) RestoreDisk(ctx context.Context, id vm.ID) error {
	unlock, err := d.ops.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.readDisk(id); !errors.Is(err, hypervisor.ErrNoDisk) {
		return errors.Join(fmt.Errorf("restore disk of vm %s over another: %w", id, hypervisor.ErrState), err)
	}
	found, err := d.trashed(id)
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
		return fmt.Errorf("restore disk of vm %s: %w", id, hypervisor.ErrNoDisk)
	}
	return os.Rename(newest, d.diskPath(id))
}

// SweepTrash implements vm.Disks.
func (d *Driver) SweepTrash(_ context.Context, before time.Time) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found, err := d.trashed("")
	if err != nil {
		return 0, err
	}
	swept := 0
	for path, at := range found {
		if at.Before(before) {
			if err := os.Remove(path); err != nil {
				return swept, fmt.Errorf("sweep trash: %w", err)
			}
			swept++
		}
	}
	return swept, nil
}
