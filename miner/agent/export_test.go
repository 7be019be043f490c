package agent

import "github.com/hippius/compute/internal/store"

// Records are the VMs that anything is remembered of.
func (s *State) Records() (ids []string, err error) {
	seen := map[string]bool{}
	add := func(id string) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	err = s.db.View(func(tx *store.Tx) error {
		if err := s.vms.Each(tx, "", func(id string, _ []byte) error { add(id); return nil }); err != nil {
			return err
		}
		if err := s.released.Each(tx, "", func(id string, _ bool) error { add(id); return nil }); err != nil {
			return err
		}
		return s.local.Each(tx, "", func(id string, _ local) error { add(id); return nil })
	})
	return ids, err
}
