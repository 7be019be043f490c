package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/hypervisor"
)

// TrashDisk implements vm.Disks.
func (d *Driver) TrashDisk(ctx context.Context, id vm.ID) error {
	unlock, err := d.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	open, err := inUse(d.disk(id))
	if err != nil {
		return fmt.Errorf("trash disk of vm %s: %w", id, err)
	}
	if open {
		return fmt.Errorf("trash disk of vm %s, which is in use: %w", id, hypervisor.ErrState)
	}
	return d.trash(id)
}

// trash moves a disk's folder, if there is one, to the trash, named by the
// moment.
func (d *Driver) trash(id vm.ID) error {
	to := filepath.Join(d.trashDir(), fmt.Sprintf("%s.%d", id, time.Now().UnixNano()))
	err := os.Rename(filepath.Dir(d.disk(id)), to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("trash disk of vm %s: %w", id, err)
	}
	if err := fault.Point("libvirt.trashed"); err != nil {
		return err
	}
	return errors.Join(syncFile(d.trashDir()), syncFile(d.disksDir()))
}

// trashed is one disk in the trash.
type trashed struct {
	path string
	id   vm.ID
	at   time.Time
}

func (d *Driver) listTrash() ([]trashed, error) {
	entries, err := os.ReadDir(d.trashDir())
	if err != nil {
		return nil, fmt.Errorf("trash: %w", err)
	}
	var found []trashed
	for _, e := range entries {
		name, stamp, _ := strings.Cut(e.Name(), ".")
		id, idErr := vm.ParseID(name)
		ns, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil || idErr != nil {
			d.log.Warn("left alone in the trash", "name", e.Name())
			continue
		}
		found = append(found, trashed{filepath.Join(d.trashDir(), e.Name()), id, time.Unix(0, ns)})
	}
	return found, nil
}

// RestoreDisk implements vm.Disks.
func (d *Driver) RestoreDisk(ctx context.Context, id vm.ID) error {
	unlock, err := d.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	has, err := exists(d.disk(id))
	if err != nil {
		return fmt.Errorf("restore disk of vm %s: %w", id, err)
	}
	if has {
		return fmt.Errorf("restore disk of vm %s over another: %w", id, hypervisor.ErrState)
	}
	found, err := d.listTrash()
	if err != nil {
		return err
	}
	var newest trashed
	for _, t := range found {
		if t.id == id && t.at.After(newest.at) {
			newest = t
		}
	}
	if newest.path == "" {
		return fmt.Errorf("restore disk of vm %s: %w", id, hypervisor.ErrNoDisk)
	}
	dir := filepath.Dir(d.disk(id))
	if err := os.RemoveAll(dir); err != nil { // what a creation left that was cut short
		return fmt.Errorf("restore disk of vm %s: %w", id, err)
	}
	if err := os.Rename(newest.path, dir); err != nil {
		return fmt.Errorf("restore disk of vm %s: %w", id, err)
	}
	if err := fault.Point("libvirt.restored"); err != nil {
		return err
	}
	return errors.Join(syncFile(d.trashDir()), syncFile(d.disksDir()))
}

// SweepTrash implements vm.Disks.
func (d *Driver) SweepTrash(ctx context.Context, before time.Time) (int, error) {
	found, err := d.listTrash()
	if err != nil {
		return 0, err
	}
	swept := 0
	for _, t := range found {
		if ctx.Err() != nil {
			return swept, ctx.Err()
		}
		if !t.at.Before(before) {
			continue
		}
		if err := os.RemoveAll(t.path); err != nil {
			return swept, fmt.Errorf("sweep trash: %w", err)
		}
		swept++
		if err := fault.Point("libvirt.swept"); err != nil {
			return swept, err
		}
	}
	return swept, nil
}
