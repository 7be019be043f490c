package agent

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/miner/guestchannel"
)

// State is what the agent remembers: the VMs as the chain last told, together
// with the height up to which it was told, and what this machine did for them.
type State struct {
	db       *store.DB
	vms      store.Bucket[vm.VM]
	released store.Bucket[bool]
	cursor   store.Bucket[int64]
	local    store.Bucket[local]
	proofs   store.Bucket[guestchannel.Proof]
}

// local is what this machine did for a VM.
type local struct {
	// Rebooted is the newest reboot carried out.
	Rebooted uint64 `json:"rebooted"`
	// Started is the newest generation that was started.
	Started uint64 `json:"started"`
	// Sized is the newest generation whose size the machine was given.
	Sized uint64 `json:"sized"`
	// Ran: it was up, so its disk holds what the tenant must not lose.
	Ran bool `json:"ran"`
	// DiskSeq is the instance whose key encrypts the disk; 0 while there is none.
	DiskSeq uint32 `json:"disk_seq"`
	// Built is what the disk was made for; nil while there is none.
	Built *built `json:"built,omitempty"`
}

// record is a VM with all that is known of it.
type record struct {
	vm       vm.VM
	released bool
	local    local
}

const cursorKey = "height"

// hasData tells whether the VM was ever up, as far as the chain or this machine
// knows: its disk is never given up for a trouble.
func (r record) hasData() bool { return r.vm.Status.HasData || r.local.Ran }

// outdated tells whether what is remembered of the disk is from before a
// rebuild: this store is an older copy, if the machine itself is not older.
func (r record) outdated() bool {
	return r.local.DiskSeq < r.vm.Status.RebuildInstance
}

// diskSeq is the instance whose key opens the disk, which is there.
func (r record) diskSeq() uint32 {
	return max(r.local.DiskSeq, r.vm.Status.RebuildInstance)
}

// NewState keeps the agent's state in db, in buckets of its own.
func NewState(db *store.DB) *State {
	return &State{
		db: db, vms: store.NewBucket[vm.VM]("agent_vms"), released: store.NewBucket[bool]("agent_released"),
		cursor: store.NewBucket[int64]("agent_cursor"), local: store.NewBucket[local]("agent_local"),
		proofs: store.NewBucket[guestchannel.Proof]("agent_proofs"),
	}
}

// Cursor is the height up to which the chain was followed; 0 for not at all.
func (s *State) Cursor() (int64, error) {
	var height int64
	err := s.db.View(func(tx *store.Tx) (err error) {
		height, _, err = s.cursor.Get(tx, cursorKey)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read cursor: %w", err)
	}
	return height, nil
}

// apply stores changes and cursor together and returns the ids concerned.
func (s *State) apply(c Changes) ([]vm.ID, error) {
	touched := map[vm.ID]bool{}
	err := s.db.Update(func(tx *store.Tx) error {
		for _, id := range c.Released {
			if _, known, err := s.vms.Get(tx, string(id)); err != nil {
				return err
			} else if !known {
				continue // long gone
			}
			touched[id] = true
			if err := s.released.Put(tx, string(id), true); err != nil {
				return err
			}
		}
		listed := map[vm.ID]bool{}
		for _, v := range c.VMs {
			listed[v.ID], touched[v.ID] = true, true
			if err := errors.Join(s.vms.Put(tx, string(v.ID), v), s.released.Delete(tx, string(v.ID))); err != nil {
				return err
			}
		}
		if c.Full {
			if err := s.releaseOthers(tx, listed, touched); err != nil {
				return err
			}
		}
		return s.cursor.Put(tx, cursorKey, c.Height)
	})
	if err != nil {
		return nil, fmt.Errorf("store changes up to height %d: %w", c.Height, err)
	}
	return slices.Collect(maps.Keys(touched)), nil
}

// releaseOthers marks what a full listing does not name.
func (s *State) releaseOthers(tx *store.Tx, listed, touched map[vm.ID]bool) error {
	return s.vms.Each(tx, "", func(id string, _ vm.VM) error {
		if listed[vm.ID(id)] {
			return nil
		}
		touched[vm.ID(id)] = true
		return s.released.Put(tx, id, true)
	})
}

// get reads one VM; ok is false for one the chain never gave to this miner.
func (s *State) get(id vm.ID) (r record, ok bool, err error) {
	err = s.db.View(func(tx *store.Tx) (err error) {
		if r.vm, ok, err = s.vms.Get(tx, string(id)); err != nil || !ok {
			return err
		}
		return s.complete(tx, &r)
	})
	if err != nil {
		return record{}, false, fmt.Errorf("read VM %s: %w", id, err)
	}
	return r, ok, nil
}

// complete a record of which the VM is known.
func (s *State) complete(tx *store.Tx, r *record) (err error) {
	if r.released, _, err = s.released.Get(tx, string(r.vm.ID)); err != nil {
		return err
	}
	r.local, _, err = s.local.Get(tx, string(r.vm.ID))
	return err
}

// all reads every VM.
func (s *State) all() (records []record, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		return s.vms.Each(tx, "", func(_ string, v vm.VM) error {
			r := record{vm: v}
			err := s.complete(tx, &r)
			records = append(records, r)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list VMs: %w", err)
	}
	return records, nil
}

// note changes what is remembered of this machine's doings for a VM.
func (s *State) note(id vm.ID, change func(l *local)) error {
	err := s.db.Update(func(tx *store.Tx) error {
		l, known, err := s.local.Get(tx, string(id))
		if err != nil {
			return err
		}
		change(&l)
		if !known && l == (local{}) {
			return nil // nothing to remember of a VM that may be unknown
		}
		return s.local.Put(tx, string(id), l)
	})
	if err != nil {
		return fmt.Errorf("note on VM %s: %w", id, err)
	}
	return nil
}

// forget a VM of which nothing is left here.
func (s *State) forget(id vm.ID) error {
	key := string(id)
	err := s.db.Update(func(tx *store.Tx) error {
		return errors.Join(s.vms.Delete(tx, key), s.released.Delete(tx, key), s.proofs.Delete(tx, key), s.local.Delete(tx, key))
	})
	if err != nil {
		return fmt.Errorf("forget VM %s: %w", id, err)
	}
	return nil
}
