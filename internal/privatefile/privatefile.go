// Package privatefile keeps small files that nobody but their owner may read:
// keys, phrases, passphrases. What it wrote survives a power cut.
package privatefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Max bounds the files read here, in bytes.
const Max = 64 << 10

// Read reads a regular file that nobody but its owner can read; any other is refused.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("others can read it (mode %04o): make it 0600, or a new one if it may have leaked", perm)
	}
	data, err := io.ReadAll(io.LimitReader(f, Max+1))
	if err != nil {
		return nil, err
	}
	if len(data) > Max {
		return nil, fmt.Errorf("it has more than %d bytes", Max)
	}
	return data, nil
}

// Create writes a new file, mode 0600, and fails with fs.ErrExist if there is one, also if somebody else makes it
// meanwhile: a link tells, a rename would not. It returns when the file would survive a power cut.
func Create(path string, data []byte) error { return put(path, data, os.Link) }

// Replace is Create that takes the place of an old file, atomically.
func Replace(path string, data []byte) error { return put(path, data, os.Rename) }

func put(path string, data []byte, place func(from, to string) error) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".private-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if rm := os.Remove(tmp.Name()); rm != nil && !errors.Is(rm, os.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := place(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
