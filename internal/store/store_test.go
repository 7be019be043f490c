package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type record struct {
	Name string
	N    int
}

func open1(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func fresh(t *testing.T) *DB {
	t.Helper()
	return open1(t, filepath.Join(t.TempDir(), "state.db"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := Open(path)
	must(t, err)
	b, blobs := NewBucket[record]("records"), NewBlobs("blobs")
	must(t, db.View(func(tx *Tx) error {
		if _, ok, err := b.Get(tx, "a"); ok || err != nil {
			t.Errorf("a record before the first one: %v %v", ok, err)
		}
		return b.Each(tx, "", func(string, record) error { return errors.New("nothing to list") })
	}))
	value := []byte{1, 2, 3}
	must(t, db.Update(func(tx *Tx) error {
		return errors.Join(b.Put(tx, "a", record{"x", 1}), b.Put(tx, "b", record{"y", 2}),
			b.Delete(tx, "b"), b.Delete(tx, "never"), NewBlobs("none").Delete(tx, "x"), blobs.Put(tx, "k", value), blobs.Put(tx, "empty", nil))
	}))
	value[0] = 9
	must(t, db.Close())

	info, err := os.Stat(path)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	must(t, open1(t, path).View(func(tx *Tx) error {
		if got, ok, err := b.Get(tx, "a"); !ok || err != nil || got != (record{"x", 1}) {
			t.Errorf("after reopening: %+v %v %v", got, ok, err)
		}
		if _, ok, _ := b.Get(tx, "b"); ok {
			t.Error("a deleted record is back")
		}
		if got := blobs.Get(tx, "k"); !bytes.Equal(got, []byte{1, 2, 3}) {
			t.Errorf("blob %v", got)
		}
		if got := blobs.Get(tx, "empty"); got == nil || len(got) != 0 {
			t.Errorf("empty blob %v, want one that is there", got)
		}
		return nil
	}))
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	db, b := fresh(t), NewBucket[int]("n")
	stop := errors.New("stop")
	if err := db.Update(func(tx *Tx) error { return errors.Join(b.Put(tx, "a", 1), stop) }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	must(t, db.View(func(tx *Tx) error {
		if _, ok, _ := b.Get(tx, "a"); ok {
			t.Error("a failed transaction left something")
		}
		return nil
	}))
	if err := db.View(func(tx *Tx) error { return b.Put(tx, "a", 1) }); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a write inside View: %v", err)
	}
	if err := db.Update(func(tx *Tx) error { return b.Put(tx, "", 1) }); err == nil {
		t.Error("took an empty key")
	}
}

func TestEach(t *testing.T) {
	db, b := fresh(t), NewBucket[int]("n")
	list := func(prefix string) (keys []string) {
		must(t, db.View(func(tx *Tx) error {
			return b.Each(tx, prefix, func(key string, v int) error { keys = append(keys, fmt.Sprint(key, v)); return nil })
		}))
		return keys
	}
	must(t, db.Update(func(tx *Tx) error {
		var errs error
		for i, k := range []string{"b/2", "a", "b/10", "c", "b/1", "b"} {
			errs = errors.Join(errs, b.Put(tx, k, i))
		}
		return errs
	}))
	if got, want := list("b/"), []string{"b/1" + "4", "b/10" + "2", "b/2" + "0"}; !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	must(t, db.Update(func(tx *Tx) error {
		return b.Each(tx, "", func(key string, v int) error {
			if v%2 == 0 {
				return b.Delete(tx, key)
			}
			return b.Put(tx, key, v+100)
		})
	}))
	if got, want := list(""), []string{"a101", "b105", "c103"}; !slices.Equal(got, want) {
		t.Errorf("after changes while listing: %v, want %v", got, want)
	}
}

func TestDecodeNamesTheRecord(t *testing.T) {
	db := fresh(t)
	must(t, db.Update(func(tx *Tx) error { return NewBlobs("n").Put(tx, "k", []byte("{")) }))
	b := NewBucket[record]("n")
	err := db.View(func(tx *Tx) error { _, _, err := b.Get(tx, "k"); return err })
	each := db.View(func(tx *Tx) error { return b.Each(tx, "", func(string, record) error { return nil }) })
	for _, err := range []error{err, each} {
		if err == nil || !strings.Contains(err.Error(), `n "k"`) {
			t.Errorf("got %v", err)
		}
	}
}

func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	open1(t, path)
	if _, err := Open(path); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want ErrInUse", err)
	}
}

func TestDamage(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.db")
	db, err := Open(good)
	must(t, err)
	must(t, db.Update(func(tx *Tx) error {
		var errs error
		for i := range 500 {
			errs = errors.Join(errs, NewBlobs("n").Put(tx, fmt.Sprint(i), bytes.Repeat([]byte{1}, 300)))
		}
		return errs
	}))
	must(t, db.Close())
	raw, err := os.ReadFile(good)
	must(t, err)
	for name, content := range map[string][]byte{
		"not a database": []byte(strings.Repeat("text ", 5000)),
		"a few bytes":    []byte("text"),
		"zeros":          make([]byte, len(raw)),
		"cut to a page":  raw[:4096],
		"cut to four":    raw[:4*4096],
		"cut in half":    raw[:len(raw)/2],
		"head destroyed": append(make([]byte, 2*4096), raw[2*4096:]...),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.db")
			must(t, os.WriteFile(path, content, 0o600))
			if _, err := Open(path); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
			// What could not be opened is not locked: it may be mended and opened by the same process.
			must(t, os.WriteFile(path, raw, 0o600))
			open1(t, path)
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "no", "such")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folder that is not there: %v", err)
	}
	// What a kill in the middle of making a database leaves is no damage: nothing was in it.
	path := filepath.Join(t.TempDir(), "empty.db")
	must(t, os.WriteFile(path, nil, 0o600))
	open1(t, path)
}

// TestKilled kills a process that has just committed: what it was told is kept is there.
func TestKilled(t *testing.T) {
	b := NewBucket[int]("n")
	if path := os.Getenv("STORE_TEST_PATH"); path != "" {
		db := open1(t, path)
		must(t, db.Update(func(tx *Tx) error { return b.Put(tx, "a", 7) }))
		must(t, db.Update(func(tx *Tx) error {
			must(t, b.Put(tx, "a", 8))
			self, err := os.FindProcess(os.Getpid())
			must(t, err)
			must(t, self.Kill())
			select {}
		}))
	}
	path := filepath.Join(t.TempDir(), "state.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "STORE_TEST_PATH="+path)
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Fatalf("the child was not killed: %s", out)
	}
	must(t, open1(t, path).View(func(tx *Tx) error {
		if got, ok, err := b.Get(tx, "a"); got != 7 || !ok || err != nil {
			t.Errorf("got %v %v %v, want 7", got, ok, err)
		}
		return nil
	}))
}
