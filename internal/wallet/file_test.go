package wallet

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/internal/privatefile"
)

const (
	weak = 10 // work factor for tests
	pass = "correct horse"
)

func testWallet(t *testing.T) *Wallet {
	t.Helper()
	w, err := FromPhrase(abandon)
	require.NoError(t, err)
	return w
}

func TestFile(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "wallet.json"), WorkFactor: weak}
	_, err := f.Open(pass)
	require.ErrorIs(t, err, fs.ErrNotExist)
	w := testWallet(t)
	require.NoError(t, f.Create(w, pass))

	info, err := os.Stat(f.Path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	data, err := os.ReadFile(f.Path)
	require.NoError(t, err)
	require.NotContains(t, string(data), "abandon")
	left, err := os.ReadDir(filepath.Dir(f.Path))
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file is left")

	addr, err := f.Address()
	require.NoError(t, err)
	require.Equal(t, w.Address(), addr)
	got, err := f.Open(pass)
	require.NoError(t, err)
	require.Equal(t, w.Address(), got.Address())
	require.Equal(t, abandon, got.Phrase())

	for _, wrong := range []string{"", "correct hors", pass + " "} {
		_, err = f.Open(wrong)
		require.ErrorIs(t, err, ErrPassphrase)
	}
	require.ErrorIs(t, f.Create(w, pass), fs.ErrExist)
	bare, err := FromKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	require.NoError(t, f.Replace(bare, "another passphrase"))
	got, err = f.Open("another passphrase")
	require.NoError(t, err)
	require.Equal(t, bare.Address(), got.Address())
	require.Error(t, f.Replace(w, "short"))
}

func TestFileRefuses(t *testing.T) {
	dir := t.TempDir()
	f := File{Path: filepath.Join(dir, "w"), WorkFactor: weak}
	require.NoError(t, f.Create(testWallet(t), pass))
	data, err := os.ReadFile(f.Path)
	require.NoError(t, err)

	require.NoError(t, os.Chmod(f.Path, 0o640))
	_, err = f.Open(pass)
	require.ErrorContains(t, err, "others can read it")
	require.NoError(t, os.Chmod(f.Path, 0o600))

	bare, err := FromKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	edit := func(key string, value any) []byte {
		var m map[string]any
		require.NoError(t, json.Unmarshal(data, &m))
		m[key] = value
		out, err := json.Marshal(m)
		require.NoError(t, err)
		return out
	}
	for name, bad := range map[string][]byte{
		"empty":           {},
		"no json":         []byte("hello"),
		"version":         edit("version", 2),
		"another address": edit("address", bare.Address()),
		"no address":      edit("address", ""),
		"no secret":       edit("secret", ""),
		"cut secret":      edit("secret", "-----BEGIN AGE ENCRYPTED FILE-----\n"),
		"too long":        bytes.Repeat([]byte{'a'}, privatefile.Max+1),
	} {
		require.NoError(t, os.WriteFile(f.Path, bad, 0o600))
		_, err = f.Open(pass)
		require.Error(t, err, name)
	}
}

func TestPlain(t *testing.T) {
	dir := t.TempDir()
	w := testWallet(t)
	path := filepath.Join(dir, "key")
	require.NoError(t, CreatePlain(path, w))
	require.ErrorIs(t, CreatePlain(path, w), fs.ErrExist)
	got, err := LoadPlain(path)
	require.NoError(t, err)
	require.Equal(t, w.Address(), got.Address())

	hexed := filepath.Join(dir, "hex")
	require.NoError(t, os.WriteFile(hexed, []byte(strings.Repeat("07", 32)+"\n"), 0o600))
	got, err = LoadPlain(hexed)
	require.NoError(t, err)
	require.Empty(t, got.Phrase())

	for mode, want := range map[fs.FileMode]string{0o644: "others can read it", 0o660: "others can read it"} {
		require.NoError(t, os.Chmod(hexed, mode))
		_, err = LoadPlain(hexed)
		require.ErrorContains(t, err, want)
	}
	_, err = LoadPlain(dir)
	require.ErrorContains(t, err, "regular")
	require.NoError(t, os.WriteFile(path, []byte("what is this"), 0o600))
	_, err = LoadPlain(path)
	require.Error(t, err)
}

func TestReadPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pass")
	require.NoError(t, os.WriteFile(path, []byte(pass+"\r\nsecond line\n"), 0o600))
	got, err := ReadPassphrase(path)
	require.NoError(t, err)
	require.Equal(t, pass, got)
	require.NoError(t, os.WriteFile(path, []byte("\n"), 0o600))
	_, err = ReadPassphrase(path)
	require.Error(t, err)
}
