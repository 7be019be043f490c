package privatefile

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCreateReadReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	_, err := Read(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, Create(path, []byte("one")))
	require.ErrorIs(t, Create(path, []byte("two")), fs.ErrExist)
	got, err := Read(path)
	require.NoError(t, err)
	require.Equal(t, "one", string(got))
	require.NoError(t, Replace(path, []byte("three")))
	got, err = Read(path)
	require.NoError(t, err)
	require.Equal(t, "three", string(got))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file is left")
	require.ErrorIs(t, Create(filepath.Join(dir, "none", "key"), nil), fs.ErrNotExist)
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	_, err := Read(dir)
	require.ErrorContains(t, err, "regular")
	path := filepath.Join(dir, "key")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{1}, Max+1), 0o600))
	_, err = Read(path)
	require.ErrorContains(t, err, "more than")
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620} {
		require.NoError(t, os.Chmod(path, mode))
		_, err = Read(path)
		require.ErrorContains(t, err, "others can read it", mode)
	}
}
