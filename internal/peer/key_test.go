package peer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestLoadOrCreateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.key")
	made, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if !made.Equal(loaded) {
		t.Error("the second call made another key")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 {
		t.Errorf("left %v behind", left)
	}
}

func TestLoadOrCreateKeyTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.key")
	keys := make(chan ed25519.PrivateKey)
	for range 8 {
		go func() {
			key, err := LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys <- key
		}()
	}
	first := <-keys
	for range 7 {
		if k := <-keys; !first.Equal(k) {
			t.Error("two callers have two keys")
		}
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	good, _ := newKey(t)
	goodDER, err := x509.MarshalPKCS8PrivateKey(good)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	for name, tc := range map[string]struct {
		content []byte
		mode    fs.FileMode
	}{
		"readable by the group": {text("PRIVATE KEY", goodDER), 0o640},
		"readable by all":       {text("PRIVATE KEY", goodDER), 0o604},
		"another kind of key":   {text("PRIVATE KEY", ecDER), 0o600},
		"another kind of block": {text("CERTIFICATE", goodDER), 0o600},
		"cut short":             {text("PRIVATE KEY", goodDER[:20]), 0o600},
		"empty":                 {nil, 0o600},
		"huge":                  {bytes.Repeat([]byte("\n"), maxKeyFile), 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(path, tc.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadOrCreateKey(path); err == nil {
				t.Error("accepted")
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(after, tc.content) {
				t.Error("the file was changed")
			}
		})
	}
	if _, err := LoadOrCreateKey(filepath.Join(t.TempDir(), "no", "such", "folder")); err == nil {
		t.Error("created a key in a folder that is not there")
	}
	if _, err := LoadOrCreateKey(t.TempDir()); err == nil {
		t.Error("accepted a folder")
	}
}
