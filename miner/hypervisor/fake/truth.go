package fake

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// What is really here, also while the hypervisor's daemon does not answer: for
// those who judge an agent, not for agents.

// VMs lists every VM, by id.
func (d *Driver) VMs() []hypervisor.Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	infos := make([]hypervisor.Info, 0, len(d.vms))
	for _, id := range slices.Sorted(maps.Keys(d.vms)) {
		infos = append(infos, d.vms[id].info())
	}
	return infos
}

// VM is one of them; absent if there is none.
func (d *Driver) VM(id vm.ID) hypervisor.Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.vms[id]; m != nil {
		return m.info()
	}
	return hypervisor.Info{ID: id, State: hypervisor.StateAbsent}
}

// Disks lists the VMs that have a disk, those in the trash not counted.
func (d *Driver) Disks() (ids []vm.ID) {
	entries, _ := os.ReadDir(filepath.Join(d.cfg.Dir, "disks")) // an unreadable folder has none
	for _, e := range entries {
		if id, err := vm.ParseID(e.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// Trash counts the disks in it.
func (d *Driver) Trash() int {
	found, _ := d.trashed("") // an unreadable folder has none
	return len(found)
}

// Boots is how often a VM's disk was booted: less than before is another
// disk. False if there is none.
func (d *Driver) Boots(id vm.ID) (uint64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, err := d.readDisk(hypervisor.Root(id))
	return k.Boots, err == nil
}
