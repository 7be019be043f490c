package record_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/miner/guestchannel"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/record"
	"github.com/hippius/compute/miner/step"
)

func sample(id vm.ID) vm.VM {
	return vm.VM{ID: id, Owner: "hip1tenant", Status: vm.Status{Phase: vm.Running, InstanceSeq: 1}, Spec: vm.Spec{Agent: vm.AgentGuest, On: true}}
}

func open(t *testing.T) *record.Store {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return record.New(db)
}

// What changed and the cursor are stored together; a full listing releases what it does not name, and what comes back is
// not released any more.
func TestApply(t *testing.T) {
	t.Parallel()
	s := open(t)
	released := func() (ids []vm.ID) {
		t.Helper()
		all, err := s.All()
		require.NoError(t, err)
		for _, r := range all {
			if r.Released {
				ids = append(ids, r.VM.ID)
			}
		}
		return ids
	}
	apply := func(c record.Changes) []vm.ID {
		t.Helper()
		touched, err := s.Apply(c)
		require.NoError(t, err)
		slices.Sort(touched)
		return touched
	}
	require.Equal(t, []vm.ID{"a", "b"}, apply(record.Changes{VMs: []vm.VM{sample("a"), sample("b")}, Full: true, Height: 5}))
	require.Empty(t, released())
	require.Equal(t, []vm.ID{"a"}, apply(record.Changes{Released: []vm.ID{"a", "never here"}, Height: 6}))
	require.Equal(t, []vm.ID{"a"}, released())
	require.Equal(t, []vm.ID{"a", "b"}, apply(record.Changes{VMs: []vm.VM{sample("a")}, Full: true, Height: 7}))
	require.Equal(t, []vm.ID{"b"}, released())
	height, err := s.Cursor()
	require.NoError(t, err)
	require.Equal(t, int64(7), height)
	r, ok, err := s.Get("b")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, step.Away, r.Desired().Direction())
	_, ok, err = s.Get("never here")
	require.NoError(t, err)
	require.False(t, ok)
}

// What was done for a VM is kept beside it and goes with it; what was proven of an earlier run goes with the next start.
func TestNotes(t *testing.T) {
	t.Parallel()
	s := open(t)
	_, err := s.Apply(record.Changes{VMs: []vm.VM{sample("a")}, Full: true, Height: 5})
	require.NoError(t, err)
	require.NoError(t, s.DiskMade("a", 1, provision.Built{VCPUs: 2}))
	proof := guestchannel.Proof{Seq: 1, Proof: vm.Proof{Height: 9, Signature: []byte("s")}, At: time.Unix(1_800_000_000, 0).UTC()}
	require.NoError(t, s.KeepProofs(map[vm.ID]guestchannel.Proof{"a": proof, "never here": proof}))
	kept, ok, err := s.LastProof("a")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, proof, kept)
	_, ok, err = s.LastProof("never here")
	require.NoError(t, err)
	require.False(t, ok)

	require.NoError(t, s.NoteStarted("a", step.Desired{Generation: 4, RebootSeq: 2}))
	_, ok, err = s.LastProof("a")
	require.NoError(t, err)
	require.False(t, ok)
	r, _, err := s.Get("a")
	require.NoError(t, err)
	require.Equal(t, record.Local{Started: 4, Rebooted: 2, Sized: 4, DiskSeq: 1, Built: &provision.Built{VCPUs: 2}}, r.Local)
	require.False(t, r.HasData())
	require.Equal(t, uint32(1), r.DiskSeq())
	r.VM.Status.RebuildInstance = 2
	require.True(t, r.Outdated())

	require.NoError(t, s.Forget("a"))
	require.NoError(t, s.Note("a", func(*record.Local) {}), "nothing to remember")
	all, err := s.All()
	require.NoError(t, err)
	require.Empty(t, all)
}

// The owner of a VM that was forgotten is known as long as it may have a disk in the trash.
func TestOwnersOfWhatIsInTheTrash(t *testing.T) {
	t.Parallel()
	s := open(t)
	_, err := s.Apply(record.Changes{VMs: []vm.VM{sample("a"), sample("b")}, Height: 1})
	require.NoError(t, err)
	require.NoError(t, s.Forget("a"))
	require.NoError(t, s.Forget("never here"))
	owners, err := s.Owners()
	require.NoError(t, err)
	require.Equal(t, map[vm.ID]string{"a": "hip1tenant", "b": "hip1tenant"}, owners)
	forgotten, err := s.Forgotten()
	require.NoError(t, err)
	require.Equal(t, []vm.ID{"a"}, forgotten)
	require.NoError(t, s.TrashEmptied(forgotten))
	owners, err = s.Owners()
	require.NoError(t, err)
	require.Equal(t, map[vm.ID]string{"b": "hip1tenant"}, owners)
	require.NoError(t, s.TrashEmptied(nil))
}
