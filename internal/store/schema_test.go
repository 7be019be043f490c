package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// names migrates from "name" to "greeting"; greetings to two words.
func migrations() []Migration {
	text := NewBucket[string]("text")
	return []Migration{
		func(tx *Tx) error {
			name, _, err := text.Get(tx, "name")
			return errors.Join(err, text.Put(tx, "greeting", "hello "+name), text.Delete(tx, "name"))
		},
		func(tx *Tx) error {
			greeting, _, err := text.Get(tx, "greeting")
			return errors.Join(err, text.Put(tx, "greeting", greeting+"!"))
		},
	}
}

func text(t *testing.T, db *DB) map[string]string {
	t.Helper()
	got := map[string]string{}
	must(t, db.View(func(tx *Tx) error {
		return NewBucket[string]("text").Each(tx, "", func(k, v string) error { got[k] = v; return nil })
	}))
	return got
}

// opened opens, looks and closes.
func opened(t *testing.T, path string, migrations ...Migration) map[string]string {
	t.Helper()
	db, err := Open(path, migrations...)
	must(t, err)
	got := text(t, db)
	must(t, db.Close())
	return got
}

// old is a database as programs made it before schemas had versions.
func old(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	b, err := open(path)
	must(t, err)
	db := &DB{bolt: b}
	must(t, db.Update(func(tx *Tx) error { return NewBucket[string]("text").Put(tx, "name", "ada") }))
	must(t, db.Close())
	return path
}

func TestMigrations(t *testing.T) {
	path := old(t)
	steps := migrations()
	if got := opened(t, path); got["name"] != "ada" {
		t.Fatalf("with the first schema: %v", got)
	}
	if got := opened(t, path, steps[:1]...); got["greeting"] != "hello ada" || len(got) != 1 {
		t.Fatalf("with the second: %v", got)
	}
	for range 2 { // the second time there is nothing to do
		if got := opened(t, path, steps...); got["greeting"] != "hello ada!" {
			t.Fatalf("with the third: %v", got)
		}
	}
	// An older program refuses, says what to do, and what it names works.
	_, err := Open(path)
	copied := path + ".schema1"
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "its schema is 3, this program knows 1") || !strings.Contains(err.Error(), copied) {
		t.Fatalf("an older program: %v", err)
	}
	if got := opened(t, copied); got["name"] != "ada" || len(got) != 1 {
		t.Errorf("the copy holds %v", got)
	}
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v, %v", info, err)
	}
	if got := opened(t, path, steps...); got["greeting"] != "hello ada!" {
		t.Errorf("after the refusal: %v", got)
	}
}

func TestMigrationJumps(t *testing.T) {
	if got := opened(t, old(t), migrations()...); got["greeting"] != "hello ada!" {
		t.Errorf("two steps at once: %v", got)
	}
}

// A migration that fails changes nothing; tried again it goes through.
func TestMigrationIsAllOrNothing(t *testing.T) {
	path, broken := old(t), errors.New("no")
	steps := migrations()
	_, err := Open(path, steps[0], func(*Tx) error { return broken })
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "from schema 2 to 3") {
		t.Fatalf("got %v", err)
	}
	if got := opened(t, path); got["name"] != "ada" || len(got) != 1 {
		t.Fatalf("after a failed migration: %v", got)
	}
	if got := opened(t, path, steps...); got["greeting"] != "hello ada!" {
		t.Errorf("again: %v", got)
	}
}

// A new database has nothing to migrate, and is the newest's from its start.
func TestNewDatabaseIsNewest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if got := opened(t, path, func(*Tx) error { return errors.New("called") }); len(got) != 0 {
		t.Errorf("holds %v", got)
	}
	if _, err := Open(path); !errors.Is(err, ErrNewer) {
		t.Errorf("an older program: %v", err)
	}
}
