// Package record keeps what a miner remembers of the VMs here: what the chain last told of them, together with the height
// up to which it was told, and what was done for them on this host.
package record

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/miner/guestchannel"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/step"
)

// Store is safe for concurrent use.
type Store struct {
	db       *store.DB
	vms      store.Bucket[vm.VM]
	released store.Bucket[bool]
	cursor   store.Bucket[int64]
	local    store.Bucket[Local]
	proofs   store.Bucket[guestchannel.Proof]
	trash    store.Bucket[string] // owners of VMs that were forgotten
}

// Local is what was done for a VM on this host.
type Local struct {
	// Rebooted is the newest reboot carried out.
	Rebooted uint64 `json:"rebooted"`
	// Started is the newest generation that was started.
	Started uint64 `json:"started"`
	// Sized is the newest generation whose size the VM was given.
	Sized uint64 `json:"sized"`
	// Ran: it was up, so its disk holds what the tenant must not lose.
	Ran bool `json:"ran"`
	// DiskSeq is the instance whose key encrypts the disk; 0 while there is none.
	DiskSeq uint32 `json:"disk_seq"`
	// Built is what the disk was made for; nil while there is none.
	Built *provision.Built `json:"built,omitempty"`
}

// Record is a VM with all that is known of it.
type Record struct {
	VM vm.VM
	// Released: another miner has it, or nobody.
	Released bool
	Local    Local
}

const cursorKey = "height"

// HasData tells whether the VM was ever up, as far as the chain or this host
// knows: its disk is never given up for a failure.
func (r Record) HasData() bool { return r.VM.Status.HasData || r.Local.Ran }

// Desired state of the VM.
func (r Record) Desired() step.Desired { return step.DesiredOf(r.VM, r.Released) }

// Outdated tells whether what is remembered of the disk is from before a
// rebuild: this store is an older copy, if the VM here is not older.
func (r Record) Outdated() bool {
	return r.Local.DiskSeq < r.VM.Status.RebuildInstance
}

// DiskSeq is the instance whose key opens the disk, which is there.
func (r Record) DiskSeq() uint32 {
	return max(r.Local.DiskSeq, r.VM.Status.RebuildInstance)
}

// New keeps the records in db, in buckets of its own.
func New(db *store.DB) *Store {
	return &Store{
		db: db, vms: store.NewBucket[vm.VM]("agent_vms"), released: store.NewBucket[bool]("agent_released"),
		cursor: store.NewBucket[int64]("agent_cursor"), local: store.NewBucket[Local]("agent_local"),
		proofs: store.NewBucket[guestchannel.Proof]("agent_proofs"), trash: store.NewBucket[string]("agent_trash"),
	}
}

// Cursor is the height up to which the chain was followed; 0 for not at all.
func (s *Store) Cursor() (int64, error) {
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

// Changes is what the chain told that changed.
type Changes struct {
	// VMs this miner holds or must still let go of.
	VMs []vm.VM
	// Released are ids it held and holds no more.
	Released []vm.ID
	// Full says that VMs is everything there is.
	Full bool
	// Height is the next cursor.
	Height int64
}

// Apply stores changes and cursor together and returns the ids concerned.
func (s *Store) Apply(c Changes) ([]vm.ID, error) {
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
func (s *Store) releaseOthers(tx *store.Tx, listed, touched map[vm.ID]bool) error {
	return s.vms.Each(tx, "", func(id string, _ vm.VM) error {
		if listed[vm.ID(id)] {
			return nil
		}
		touched[vm.ID(id)] = true
		return s.released.Put(tx, id, true)
	})
}

// Get reads one VM; ok is false for one the chain never gave to this miner.
func (s *Store) Get(id vm.ID) (r Record, ok bool, err error) {
	err = s.db.View(func(tx *store.Tx) (err error) {
		if r.VM, ok, err = s.vms.Get(tx, string(id)); err != nil || !ok {
			return err
		}
		return s.complete(tx, &r)
	})
	if err != nil {
		return Record{}, false, fmt.Errorf("read VM %s: %w", id, err)
	}
	return r, ok, nil
}

// complete a record of which the VM is known.
func (s *Store) complete(tx *store.Tx, r *Record) (err error) {
	if r.Released, _, err = s.released.Get(tx, string(r.VM.ID)); err != nil {
		return err
	}
	r.Local, _, err = s.local.Get(tx, string(r.VM.ID))
	return err
}

// All reads every VM.
func (s *Store) All() (records []Record, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		return s.vms.Each(tx, "", func(_ string, v vm.VM) error {
			r := Record{VM: v}
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

// NoteStarted notes that a generation was started. What was proven of an earlier run says nothing of this one.
func (s *Store) NoteStarted(id vm.ID, d step.Desired) error {
	return errors.Join(
		s.Note(id, func(l *Local) { l.Started, l.Rebooted, l.Sized = d.Generation, d.RebootSeq, d.Generation }),
		s.dropProof(id),
	)
}

// DiskMade implements provision.Notes.
func (s *Store) DiskMade(id vm.ID, seq uint32, b provision.Built) error {
	return s.Note(id, func(l *Local) { l.DiskSeq, l.Built = seq, &b })
}

// Note changes what is remembered of what was done for a VM.
func (s *Store) Note(id vm.ID, change func(l *Local)) error {
	err := s.db.Update(func(tx *store.Tx) error {
		l, known, err := s.local.Get(tx, string(id))
		if err != nil {
			return err
		}
		change(&l)
		if !known && l == (Local{}) {
			return nil // nothing to remember of a VM that may be unknown
		}
		return s.local.Put(tx, string(id), l)
	})
	if err != nil {
		return fmt.Errorf("note on VM %s: %w", id, err)
	}
	return nil
}

// Forget a VM of which nothing is left here but its disk in the trash, whose owner is remembered.
func (s *Store) Forget(id vm.ID) error {
	key := string(id)
	err := s.db.Update(func(tx *store.Tx) error {
		v, known, err := s.vms.Get(tx, key)
		if err == nil && known {
			err = s.trash.Put(tx, key, v.Owner)
		}
		return errors.Join(err, s.vms.Delete(tx, key), s.released.Delete(tx, key), s.proofs.Delete(tx, key), s.local.Delete(tx, key))
	})
	if err != nil {
		return fmt.Errorf("forget VM %s: %w", id, err)
	}
	return nil
}

// Owners of VMs: of those here, and of those that were forgotten and may have disks in the trash.
func (s *Store) Owners() (map[vm.ID]string, error) {
	owners := map[vm.ID]string{}
	err := s.db.View(func(tx *store.Tx) error {
		return errors.Join(
			s.trash.Each(tx, "", func(id, owner string) error { owners[vm.ID(id)] = owner; return nil }),
			s.vms.Each(tx, "", func(id string, v vm.VM) error { owners[vm.ID(id)] = v.Owner; return nil }),
		)
	})
	if err != nil {
		return nil, fmt.Errorf("read owners: %w", err)
	}
	return owners, nil
}

// Forgotten are the VMs whose owner is remembered for what they have in the trash.
func (s *Store) Forgotten() (ids []vm.ID, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		return s.trash.Each(tx, "", func(id, _ string) error { ids = append(ids, vm.ID(id)); return nil })
	})
	if err != nil {
		return nil, fmt.Errorf("read owners: %w", err)
	}
	return ids, nil
}

// TrashEmptied forgets the owners of VMs that have nothing in the trash any more.
func (s *Store) TrashEmptied(ids []vm.ID) error {
	if len(ids) == 0 {
		return nil
	}
	err := s.db.Update(func(tx *store.Tx) error {
		for _, id := range ids {
			if err := s.trash.Delete(tx, string(id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget owners: %w", err)
	}
	return nil
}

// KeepProofs of VMs that are known.
func (s *Store) KeepProofs(fresh map[vm.ID]guestchannel.Proof) error {
	if len(fresh) == 0 {
		return nil
	}
	err := s.db.Update(func(tx *store.Tx) error {
		for id, n := range fresh {
			if _, known, err := s.vms.Get(tx, string(id)); err != nil {
				return err
			} else if !known {
				continue // forgotten meanwhile
			}
			if err := s.proofs.Put(tx, string(id), n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note %d proofs: %w", len(fresh), err)
	}
	return nil
}

func (s *Store) dropProof(id vm.ID) error {
	err := s.db.Update(func(tx *store.Tx) error { return s.proofs.Delete(tx, string(id)) })
	if err != nil {
		return fmt.Errorf("drop proof of VM %s: %w", id, err)
	}
	return nil
}

// LastProof is the one noted last of a VM.
func (s *Store) LastProof(id vm.ID) (n guestchannel.Proof, ok bool, err error) {
	err = s.db.View(func(tx *store.Tx) (err error) {
		n, ok, err = s.proofs.Get(tx, string(id))
		return err
	})
	if err != nil {
		return guestchannel.Proof{}, false, fmt.Errorf("read proof of VM %s: %w", id, err)
	}
	return n, ok, nil
}
