package agent

import (
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
)

// Records are the VMs that anything is remembered of.
func (s *State) Records() (ids []vm.ID, err error) {
	seen := map[vm.ID]bool{}
	add := func(key string) {
		id := vm.ID(key)
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	err = s.db.View(func(tx *store.Tx) error {
		if err := s.vms.Each(tx, "", func(id string, _ vm.VM) error { add(id); return nil }); err != nil {
			return err
		}
		if err := s.released.Each(tx, "", func(id string, _ bool) error { add(id); return nil }); err != nil {
			return err
		}
		return s.local.Each(tx, "", func(id string, _ local) error { add(id); return nil })
	})
	return ids, err
}
