package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// ErrNewer means that a newer version of the program wrote the file: this one would misread it.
var ErrNewer = errors.New("written by a newer version of this program")

// Migration rewrites a database from one version of its schema to the next. All that are needed run in one transaction:
// a crash leaves the database as it was. It must not depend on code that changes later.
type Migration func(tx *Tx) error

// A database knows the version of its schema. One that says nothing is of version 1, from before there were others.
const (
	schemaBucket  = "store_schema"
	schemaKey     = "version"
	firstSchema   = 1
	copySuffix    = ".schema" // of the copy made before a migration, with the version
	copyMode      = 0o600
	partialSuffix = ".tmp"
)

// migrate brings the database in the file at path to the newest schema. Before anything of an older one is changed a
// copy of the file is made beside it: with it an operator can go back to the version of the program before.
func (db *DB) migrate(path string, migrations []Migration) error {
	newest := firstSchema + len(migrations)
	have, err := db.schema(newest)
	switch {
	case err != nil:
		return err
	case have > newest:
		return fmt.Errorf("%w (its schema is %d, this program knows %d): start the newer version again, or go back to the copy it made, %s",
			ErrNewer, have, newest, path+copySuffix+fmt.Sprint(newest))
	case have < newest:
		if err := db.copyTo(path + copySuffix + fmt.Sprint(have)); err != nil {
			return fmt.Errorf("copy before a migration: %w", err)
		}
	}
	return db.Update(func(tx *Tx) error {
		for v := have; v < newest; v++ {
			if err := migrations[v-firstSchema](tx); err != nil {
				return fmt.Errorf("migrate from schema %d to %d: %w", v, v+1, err)
			}
		}
		return NewBucket[int](schemaBucket).Put(tx, schemaKey, newest)
	})
}

// schema reads the version; an empty database is of the newest.
func (db *DB) schema(newest int) (version int, err error) {
	err = db.bolt.View(func(tx *bbolt.Tx) error {
		if first, _ := tx.Cursor().First(); first == nil {
			version = newest
			return nil
		}
		var ok bool
		version, ok, err = NewBucket[int](schemaBucket).Get(&Tx{tx}, schemaKey)
		if !ok {
			version = firstSchema
		}
		if err == nil && version < firstSchema {
			err = fmt.Errorf("%w: schema %d", ErrCorrupt, version)
		}
		return err
	})
	return version, err
}

// copyTo writes a copy of the database that survives a power cut, in the place of an earlier one.
func (db *DB) copyTo(path string) error {
	part := path + partialSuffix
	err := db.bolt.View(func(tx *bbolt.Tx) error { return tx.CopyFile(part, copyMode) })
	if err != nil {
		return err
	}
	f, err := os.Open(part)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close(), os.Rename(part, path)); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
