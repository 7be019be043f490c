package agent_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/hippius/compute/internal/store"
)

// What the next version of the miner would do to its database: it notes on each VM of which version the note is.
func nextMigrations(t *testing.T) []store.Migration {
	t.Helper()
	local := store.NewBucket[map[string]any]("agent_local")
	return append(migrations(), func(tx *store.Tx) error {
		return local.Each(tx, "", func(id string, note map[string]any) error {
			note["noted_by"] = "next"
			return local.Put(tx, id, note)
		})
	})
}

// A newer miner takes over from an older one with VMs running, its database migrated; the older one then refuses
// it, and goes on with the copy that the newer one made. No VM notices any of it.
func TestNewerVersionAdopts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	process, boots, path := w.process(id), w.boots(id), filepath.Join(w.stateDir, "state.db")
	takeOver := func(file string, migrations ...store.Migration) {
		t.Helper()
		w.stopAgent()
		if err := errors.Join(w.driver.Close(), w.db.Close()); err != nil {
			t.Fatal(err)
		}
		var err error
		if w.db, err = store.Open(file, migrations...); err != nil {
			t.Fatal(err)
		}
		w.openDriver()
		w.startAgent()
		w.provesOn(id)
		if got := w.process(id); got != process || w.boots(id) != boots {
			t.Errorf("%s after %d boots, want %s after %d", got, w.boots(id), process, boots)
		}
	}
	takeOver(path, nextMigrations(t)...)
	noted := 0
	err := w.db.View(func(tx *store.Tx) error {
		return store.NewBucket[map[string]any]("agent_local").Each(tx, "", func(string, map[string]any) error { noted++; return nil })
	})
	if err != nil || noted == 0 {
		t.Errorf("%d notes were migrated, %v", noted, err)
	}

	w.stopAgent()
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err := store.Open(path, migrations()...); !errors.Is(err, store.ErrNewer) {
		t.Fatalf("the older version opens a newer one's database: %v, %v", db, err)
	}
	if w.db, err = store.Open(path, nextMigrations(t)...); err != nil {
		t.Fatal(err)
	}
	takeOver(path+".schema2", migrations()...)
}
