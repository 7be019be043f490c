package libvirt

import (
	"context"
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
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/hostinfo"
	"github.com/hippius/compute/miner/hypervisor"
)

// TrashDisk implements hypervisor.Disks.
func (d *Driver) TrashDisk(ctx context.Context, id hypervisor.DiskID) error {
	unlock, err := d.lockDisk(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	path := d.disk(id)
	if has, err := exists(path); err != nil || !has {
		return err
	}
	open, err := inUse(path)
	if err != nil {
		return fmt.Errorf("trash %s: %w", id, err)
	}
	if open {
		return fmt.Errorf("trash %s, which is in use: %w", id, hypervisor.ErrState)
	}
	to := d.trashName(id.VM)
	if err := os.Mkdir(to, 0o711); err != nil { //nolint:gosec // as the folder it comes from
		return fmt.Errorf("trash %s: %w", id, err)
	}
	if err := os.Rename(path, filepath.Join(to, filepath.Base(path))); err != nil {
		return fmt.Errorf("trash %s: %w", id, errors.Join(err, os.Remove(to)))
	}
	return errors.Join(syncFile(to), removeIfEmpty(d.diskDir(id.VM)), d.trashed())
}

// trashAll moves the folder of a VM's disks, if there is one, to the trash.
func (d *Driver) trashAll(id vm.ID) error {
	err := os.Rename(d.diskDir(id), d.trashName(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("trash disks of vm %s: %w", id, err)
	}
	return d.trashed()
}

// trashName is of a folder in the trash, named by the time.
func (d *Driver) trashName(id vm.ID) string { return d.trashAt(id, time.Now()) }

func (d *Driver) trashAt(id vm.ID, at time.Time) string {
	return filepath.Join(d.trashDir(), fmt.Sprintf("%s.%d", id, at.UnixNano()))
}

func (d *Driver) trashed() error {
	if err := fault.Point("libvirt.trashed"); err != nil {
		return err
	}
	return errors.Join(syncFile(d.trashDir()), syncFile(d.disksDir()))
}

// discarded is a folder of disks of one VM in the trash.
type discarded struct {
	path string
	id   vm.ID
	at   time.Time
}

func (d *Driver) listTrash() ([]discarded, error) {
	entries, err := os.ReadDir(d.trashDir())
	if err != nil {
		return nil, fmt.Errorf("trash: %w", err)
	}
	var found []discarded
	for _, e := range entries {
		name, stamp, _ := strings.Cut(e.Name(), ".")
		id, idErr := vm.ParseID(name)
		ns, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil || idErr != nil {
			d.log.Warn("unknown entry in the trash is kept", "file", e.Name())
			continue
		}
		found = append(found, discarded{filepath.Join(d.trashDir(), e.Name()), id, time.Unix(0, ns)})
	}
	return found, nil
}

// RestoreDisk implements hypervisor.Disks.
func (d *Driver) RestoreDisk(ctx context.Context, id hypervisor.DiskID) error {
	unlock, err := d.lockDisk(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	path := d.disk(id)
	has, err := exists(path)
	if err != nil {
		return fmt.Errorf("restore %s: %w", id, err)
	}
	if has {
		return fmt.Errorf("restore %s over another: %w", id, hypervisor.ErrState)
	}
	from, err := d.newestTrashed(id)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil { //nolint:gosec // QEMU's user passes through
		return fmt.Errorf("restore %s: %w", id, err)
	}
	if err := errors.Join(os.Rename(from, path), removeIfEmpty(filepath.Dir(from))); err != nil {
		return fmt.Errorf("restore %s: %w", id, err)
	}
	if err := fault.Point("libvirt.restored"); err != nil {
		return err
	}
	return errors.Join(syncFile(filepath.Dir(path)), syncFile(d.trashDir()), syncFile(d.disksDir()))
}

// newestTrashed is where the newest disk of that VM and name lies in the trash.
func (d *Driver) newestTrashed(id hypervisor.DiskID) (path string, err error) {
	found, err := d.listTrash()
	if err != nil {
		return "", err
	}
	var at time.Time
	for _, t := range found {
		p := filepath.Join(t.path, id.Name+diskSuffix)
		if t.id != id.VM || !t.at.After(at) {
			continue
		}
		if has, err := exists(p); err != nil {
			return "", fmt.Errorf("restore %s: %w", id, err)
		} else if has {
			path, at = p, t.at
		}
	}
	if path == "" {
		return "", fmt.Errorf("restore %s: %w", id, hypervisor.ErrNoDisk)
	}
	return path, nil
}

// Space implements hypervisor.Disks.
func (d *Driver) Space(context.Context) (s hypervisor.Space, err error) {
	if s.Free, err = d.free(); err != nil {
		return hypervisor.Space{}, err
	}
	if s.Used, err = hostinfo.Taken(d.disksDir()); err != nil {
		return hypervisor.Space{}, err
	}
	found, err := d.listTrash()
	if err != nil {
		return hypervisor.Space{}, err
	}
	for _, t := range found {
		n, err := hostinfo.Taken(t.path)
		if err != nil {
			return hypervisor.Space{}, err
		}
		s.Trash = append(s.Trash, hypervisor.Trashed{VM: t.id, At: t.at, Bytes: n})
	}
	slices.SortFunc(s.Trash, func(a, b hypervisor.Trashed) int { return a.At.Compare(b.At) })
	return s, nil
}

// Discard implements hypervisor.Disks.
func (d *Driver) Discard(_ context.Context, t hypervisor.Trashed) error {
	if _, err := vm.ParseID(string(t.VM)); err != nil {
		return fmt.Errorf("%w: %w", hypervisor.ErrInvalid, err)
	}
	if err := os.RemoveAll(d.trashAt(t.VM, t.At)); err != nil {
		return fmt.Errorf("discard from the trash: %w", err)
	}
	return fault.Point("libvirt.swept")
}
