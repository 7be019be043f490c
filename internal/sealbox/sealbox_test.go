package sealbox

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSealOpen(t *testing.T) {
	k, err := NewKey()
	require.NoError(t, err)
	other, err := NewKey()
	require.NoError(t, err)
	box, err := Seal(k.Public(), "info", []byte("place"), []byte("hello"))
	require.NoError(t, err)
	require.Len(t, box, len("hello")+Overhead)
	got, err := k.Open("info", []byte("place"), box)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	again, err := Seal(k.Public(), "info", []byte("place"), []byte("hello"))
	require.NoError(t, err)
	require.NotEqual(t, box, again)

	_, err = other.Open("info", []byte("place"), box)
	require.ErrorIs(t, err, ErrOpen)
	_, err = k.Open("other info", []byte("place"), box)
	require.ErrorIs(t, err, ErrOpen)
	_, err = k.Open("info", []byte("other place"), box)
	require.ErrorIs(t, err, ErrOpen)
	for i := range box {
		bad := bytes.Clone(box)
		bad[i] ^= 1
		_, err = k.Open("info", []byte("place"), bad)
		require.ErrorIs(t, err, ErrOpen)
	}
	_, err = k.Open("info", []byte("place"), nil)
	require.ErrorIs(t, err, ErrOpen)
	for _, bad := range [][]byte{nil, make([]byte, 31), make([]byte, 32)} {
		_, err = Seal(bad, "info", nil, nil)
		require.Error(t, err, "short, or a point of low order")
	}
}

func TestLoadOrCreateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	a, err := LoadOrCreateKey(path)
	require.NoError(t, err)
	b, err := LoadOrCreateKey(path)
	require.NoError(t, err)
	require.Equal(t, a.Public(), b.Public())
	require.NoError(t, os.Chmod(path, 0o644))
	_, err = LoadOrCreateKey(path)
	require.ErrorContains(t, err, "others can read it")

	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(ed)
	require.NoError(t, err)
	for _, text := range [][]byte{nil, []byte("x"), pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: []byte{1}})} {
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.WriteFile(path, text, 0o600))
		_, err = LoadOrCreateKey(path)
		require.Error(t, err)
	}
}
