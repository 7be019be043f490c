package hostinfo

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Taken adds up what the files under dir take on disk, in bytes. What goes away meanwhile is not counted.
func Taken(dir string) (total uint64, err error) {
	const block = 512
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && e.Type().IsRegular() {
			total += uint64(max(s.Blocks, 0)) * block
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("space taken in %s: %w", dir, err)
	}
	return total, nil
}
