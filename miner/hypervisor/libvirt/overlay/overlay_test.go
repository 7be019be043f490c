package overlay

import (
	"bytes"
	"crypto/aes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/xts"

	"github.com/hippius/compute/internal/testkit"
)

// qemuImg runs the reference implementation.
func qemuImg(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("compares with qemu-img, which is not installed: runs where `make setup` did")
	}
	out, err := exec.CommandContext(t.Context(), "qemu-img", args...).CombinedOutput()
	return string(out), err
}

func mustImg(t *testing.T, args ...string) string {
	t.Helper()
	out, err := qemuImg(t, args...)
	if err != nil {
		t.Fatalf("qemu-img %v: %v: %s", args, err, out)
	}
	return out
}

func secret(t *testing.T, passphrase string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	testkit.Check(t, os.WriteFile(path, []byte(passphrase), 0o600))
	return "secret,id=key,format=raw,file=" + path
}

func imageOpts(path string) string {
	return "driver=qcow2,encrypt.format=luks,encrypt.key-secret=key,file.filename=" + path
}

func TestQEMUReadsIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	base := filepath.Join(dir, "base.img")
	content := bytes.Repeat([]byte("base image "), 200_000)
	content = content[:2<<20]
	testkit.Check(t, os.WriteFile(base, content, 0o600))

	for _, size := range []uint64{2 << 20, 18 << 30, 522 << 30, MaxBytes} {
		path := filepath.Join(dir, "disk.qcow2")
		testkit.Check(t, Create(path, Spec{Bytes: size, Base: base, BaseFormat: "raw", Passphrase: []byte("open sesame")}))
		key := secret(t, "open sesame")
		// Walking a petabyte's table is slow, and finds no more than a terabyte's.
		if size < MaxBytes {
			if out := mustImg(t, "check", "--object", key, "--image-opts", imageOpts(path)); !strings.Contains(out, "No errors were found") {
				t.Errorf("check of %d bytes: %s", size, out)
			}
		}
		if out, err := qemuImg(t, "check", "--object", secret(t, "open barley"), "--image-opts", imageOpts(path)); err == nil || !strings.Contains(out, "Invalid password") {
			t.Errorf("another passphrase: %v: %s", err, out)
		}
		out := mustImg(t, "info", "--output=json", path)
		for _, want := range []string{`"backing-filename": "` + base, `"backing-filename-format": "raw"`, `"encrypted": true`, `"cipher-mode": "xts"`, `"key-offset": 262144`} {
			if !strings.Contains(out, want) {
				t.Errorf("info lacks %s: %s", want, out)
			}
		}
		testkit.Check(t, os.Remove(path))
	}
}

// Data written by QEMU goes in and out, over the base, encrypted on the disk.
func TestQEMUWritesToIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	base, path, plain := filepath.Join(dir, "base.img"), filepath.Join(dir, "disk.qcow2"), filepath.Join(dir, "plain.img")
	content := bytes.Repeat([]byte("B"), 1<<20)
	testkit.Check(t, os.WriteFile(base, content, 0o600))
	testkit.Check(t, Create(path, Spec{Bytes: 3 << 20, Base: base, BaseFormat: "raw", Passphrase: []byte("p")}))
	if _, err := exec.LookPath("qemu-io"); err != nil {
		t.Skip("writes with qemu-io, which is not installed: runs where `make setup` did")
	}
	key := secret(t, "p")
	out, err := exec.CommandContext(t.Context(), "qemu-io", "--object", key, "--image-opts", imageOpts(path),
		"-c", "write -P 0x57 4096 65536", "-c", "write -P 0x58 2M 4096").CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-io: %v: %s", err, out)
	}
	mustImg(t, "convert", "--object", key, "--image-opts", imageOpts(path), "-O", "raw", plain)
	got, err := os.ReadFile(plain)
	testkit.Check(t, err)
	want := make([]byte, 3<<20)
	copy(want, content)
	copy(want[4096:], bytes.Repeat([]byte{0x57}, 65536))
	copy(want[2<<20:], bytes.Repeat([]byte{0x58}, 4096))
	if !bytes.Equal(got, want) {
		t.Error("what was written is not what is read")
	}
	sealed, err := os.ReadFile(path)
	testkit.Check(t, err)
	if bytes.Contains(sealed, bytes.Repeat([]byte{0x57}, 64)) {
		t.Error("what was written lies there in plain")
	}
	mustImg(t, "resize", "--object", key, "--image-opts", imageOpts(path), "5M")
}

// TestKeyComesBack merges and checks the key as the specification says,
// without QEMU.
func TestKeyComesBack(t *testing.T) {
	t.Parallel()
	text, err := newLUKS([]byte("sesame"))
	testkit.Check(t, err)
	var h luksPrefix
	_, err = binary.Decode(text, binary.BigEndian, &h)
	testkit.Check(t, err)
	slotKey, err := pbkdf2.Key(sha256.New, "sesame", h.Slots[0].Salt[:], int(h.Slots[0].Rounds), luksKeyBytes)
	testkit.Check(t, err)
	cipher, err := xts.NewCipher(aes.NewCipher, slotKey)
	testkit.Check(t, err)
	material := text[h.Slots[0].Material*luksSector:][:luksMaterial]
	for i := 0; i < luksMaterial; i += luksSector {
		cipher.Decrypt(material[i:i+luksSector], material[i:i+luksSector], uint64(i/luksSector))
	}
	key := make([]byte, luksKeyBytes)
	for i := range luksStripes {
		for j := range key {
			key[j] ^= material[i*luksKeyBytes+j]
		}
		if i < luksStripes-1 {
			diffuse(key)
		}
	}
	digest, err := pbkdf2.Key(sha256.New, string(key), h.DigestSalt[:], int(h.DigestRounds), len(h.Digest))
	testkit.Check(t, err)
	if !bytes.Equal(digest, h.Digest[:]) {
		t.Error("the key that comes back is another")
	}
	again, err := newLUKS([]byte("sesame"))
	testkit.Check(t, err)
	if bytes.Equal(text[luksHeader:], again[luksHeader:]) {
		t.Error("two disks, one key")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	for what, spec := range map[string]Spec{
		"no size":   {Base: "/b"},
		"odd size":  {Bytes: 1000, Base: "/b"},
		"huge":      {Bytes: MaxBytes + 512, Base: "/b"},
		"no base":   {Bytes: 512},
		"long base": {Bytes: 512, Base: strings.Repeat("b", 1024)},
	} {
		if err := Create(path, spec); err == nil {
			t.Errorf("%s: created", what)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: left a file", what)
		}
	}
	good := Spec{Bytes: 512, Base: "/b", BaseFormat: "raw", Passphrase: []byte("p")}
	start := time.Now()
	testkit.Check(t, Create(path, good))
	t.Logf("an overlay takes %v", time.Since(start).Round(time.Microsecond))
	if err := Create(path, good); err == nil {
		t.Error("a disk was written over")
	}
}
