package guest_test

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"

	"github.com/kdomanski/iso9660"

	wire "github.com/hippius/compute/core/guest"
)

const (
	testChain = "hippius-test"
	testVM    = "00112233445566778899aabbccddeeff"
)

// testConfig is a sound configuration with its guest key.
func testConfig(t *testing.T) (wire.Config, ed25519.PublicKey) {
	t.Helper()
	seed := bytes.Repeat([]byte{7}, ed25519.SeedSize)
	key := ed25519.NewKeyFromSeed(seed)
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("not an ed25519 key")
	}
	return wire.Config{
		ChainID: testChain, VMID: testVM, Seq: 3, Hostname: "web-1", ProofKey: seed,
		SSHHostKey: "PRIVATE KEY", SSHHostCert: "ssh-ed25519-cert-v01@openssh.com AAAA host",
	}, pub
}

// writeSeed makes an ISO with the configuration at path.
func writeSeed(t *testing.T, path, label string, cfg wire.Config) {
	t.Helper()
	data, err := wire.EncodeConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	writeISO(t, path, label, wire.ConfigFile, data)
}

func writeISO(t *testing.T, path, label, name string, data []byte) {
	t.Helper()
	w, err := iso9660.NewWriter()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	if err := w.AddFile(bytes.NewReader(data), name); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteTo(f, label); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// write puts a file under a test root.
func write(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
