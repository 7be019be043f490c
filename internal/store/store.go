// Package store keeps a daemon's own state on this host's disk, in transactions that survive a power cut.
// It is the one place that knows the database (bbolt).
package store

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// lockWait is how long Open waits for another process to let go of the file.
const lockWait = 2 * time.Second

var (
	// ErrInUse means that another process has the file open.
	ErrInUse = errors.New("in use by another process")
	// ErrCorrupt means that the file is not a database, or a damaged one.
	ErrCorrupt = errors.New("damaged, or not a database of ours")
)

// DB is one open database file. Its methods may be called concurrently.
type DB struct {
	bolt *bbolt.DB
}

// Tx is one transaction. It is for one goroutine and valid only inside the function that got it.
type Tx struct {
	bolt *bbolt.Tx
}

// Open opens the database in the file at path, or makes one that only its owner can read. The folder must exist. One
// of an older schema is migrated: migrations lead from the first schema to the newest, and none is ever taken away. The
// error is ErrInUse, ErrCorrupt or ErrNewer where that is the cause.
func Open(path string, migrations ...Migration) (*DB, error) {
	b, err := open(path)
	var system syscall.Errno
	switch {
	case err == nil:
		db := &DB{bolt: b}
		if err := db.migrate(path, migrations); err != nil {
			return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), db.Close())
		}
		return db, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("open database %s: %w", path, ErrInUse)
	case errors.As(err, &system):
		return nil, fmt.Errorf("open database: %w", err)
	default:
		return nil, fmt.Errorf("open database %s: %w: %w", path, ErrCorrupt, err)
	}
}

// open makes errors of the ways in which bbolt dies of a damaged file: it trusts what it maps, and a page beyond the
// end of a file cut short is a fault.
func open(path string) (b *bbolt.DB, err error) {
	var file *os.File
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			b, err = nil, errors.Join(fmt.Errorf("%v", cause), release(file))
		}
	}()
	options := bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType}
	options.OpenFile = func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode) //nolint:gosec // the path is our caller's
		return file, err
	}
	b, err = bbolt.Open(path, 0o600, &options)
	if err != nil {
		return nil, err
	}
	err = b.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%d bytes long, should be %d", info.Size(), tx.Size())
		}
		return tx.ForEach(func([]byte, *bbolt.Bucket) error { return nil })
	})
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// release the file of a database that could not be opened. What bbolt mapped of it stays mapped, and would hold its lock as long
// as this process lives.
func release(file *os.File) error {
	return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close()) //nolint:gosec // a descriptor is an int
}

// Close waits for the transactions in progress and closes the file.
func (db *DB) Close() error {
	if err := db.bolt.Close(); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// View runs fn on one consistent state, which writers do not disturb.
func (db *DB) View(fn func(*Tx) error) error {
	return db.bolt.View(func(tx *bbolt.Tx) error { return fn(&Tx{tx}) })
}

// Update runs fn alone among writers and keeps what it wrote, on disk, when it returns nil; else nothing of it. It must
// not be called inside another transaction: it would wait for itself.
func (db *DB) Update(fn func(*Tx) error) error {
	return db.bolt.Update(func(tx *bbolt.Tx) error { return fn(&Tx{tx}) })
}
