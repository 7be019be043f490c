package instance

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hippius/compute/core/vm"
)

const vmID = "00112233445566778899aabbccddeeff"

func sample() Bundle {
	return Bundle{
		Version: bundleVersion, VMID: vmID, Seq: 2,
		ProofKey: bytes.Repeat([]byte{1}, KeySize), DiskKey: bytes.Repeat([]byte{2}, KeySize), CheckpointKey: bytes.Repeat([]byte{3}, KeySize),
		MeshCA: "ca", MeshCert: "cert", MeshKey: "key", SSHHostKey: "host key", SSHHostCert: "host cert",
	}
}

func TestBundle(t *testing.T) {
	for _, key := range [][]byte{nil, bytes.Repeat([]byte{4}, KeySize)} {
		b := sample()
		b.UserDataKey = key
		data, err := EncodeBundle(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeBundle(data, vmID, 2)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, b) {
			t.Fatalf("got %+v, want %+v", got, b)
		}
		if _, err := DecodeBundle(data, vmID, 3); err == nil {
			t.Error("accepted as another instance")
		}
		if _, err := DecodeBundle(data, vm.ID(strings.Repeat("f", 32)), 2); err == nil {
			t.Error("accepted as another VM")
		}
	}
}

func TestBundleRefuses(t *testing.T) {
	for name, change := range map[string]func(*Bundle){
		"proof key":      func(b *Bundle) { b.ProofKey = b.ProofKey[:31] },
		"disk key":       func(b *Bundle) { b.DiskKey = nil },
		"checkpoint key": func(b *Bundle) { b.CheckpointKey = append(b.CheckpointKey, 0) },
		"user data key":  func(b *Bundle) { b.UserDataKey = []byte{1} },
		"mesh ca":        func(b *Bundle) { b.MeshCA = "" },
		"mesh cert":      func(b *Bundle) { b.MeshCert = "" },
		"mesh key":       func(b *Bundle) { b.MeshKey = "" },
		"host key":       func(b *Bundle) { b.SSHHostKey = "" },
		"host cert":      func(b *Bundle) { b.SSHHostCert = "" },
		"instance":       func(b *Bundle) { b.Seq = 0 },
		"size":           func(b *Bundle) { b.MeshCA = strings.Repeat("x", MaxBundle) },
	} {
		b := sample()
		change(&b)
		if _, err := EncodeBundle(b); err == nil {
			t.Errorf("%s: encoded", name)
		}
		data, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeBundle(data, b.VMID, b.Seq); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
	good, err := EncodeBundle(sample())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":         "",
		"more data":     string(good) + "{}",
		"unknown field": strings.Replace(string(good), `"vm_id"`, `"extra":1,"vm_id"`, 1),
		"version":       strings.Replace(string(good), `"version":1`, `"version":2`, 1),
	} {
		if _, err := DecodeBundle([]byte(text), vmID, 2); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
}

func TestSealOpen(t *testing.T) {
	secret := bytes.Repeat([]byte{9}, KeySize)
	aad := BundleAAD("c", "o", vmID, 1)
	plain := []byte("the bundle")
	sealed, err := Seal(rand.Reader, secret, LabelBundle, aad, plain)
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) != len(plain)+sealOverhead {
		t.Errorf("sealed has %d bytes, want %d more than %d", len(sealed), sealOverhead, len(plain))
	}
	again, err := Seal(rand.Reader, secret, LabelBundle, aad, plain)
	if err != nil || bytes.Equal(sealed, again) {
		t.Errorf("sealed twice it is the same: %v", err)
	}
	got, err := Open(secret, LabelBundle, aad, sealed)
	if err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("got %q, %v", got, err)
	}
	other := bytes.Clone(secret)
	other[0]++
	cut := sealed[:len(sealed)-1]
	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another secret":   func() ([]byte, error) { return Open(other, LabelBundle, aad, sealed) },
		"short secret":     func() ([]byte, error) { return Open(secret[1:], LabelBundle, aad, sealed) },
		"another label":    func() ([]byte, error) { return Open(secret, LabelUserData, aad, sealed) },
		"another instance": func() ([]byte, error) { return Open(secret, LabelBundle, BundleAAD("c", "o", vmID, 2), sealed) },
		"cut":              func() ([]byte, error) { return Open(secret, LabelBundle, aad, cut) },
		"altered":          func() ([]byte, error) { return Open(secret, LabelBundle, aad, altered) },
		"empty":            func() ([]byte, error) { return Open(secret, LabelBundle, aad, nil) },
	} {
		if got, err := open(); err == nil {
			t.Errorf("%s: opened to %q", name, got)
		}
	}
	if _, err := Seal(iotest.ErrReader(bytes.ErrTooLarge), secret, LabelBundle, aad, plain); err == nil {
		t.Error("sealed without chance")
	}
}

// Every digest and associated data differs as soon as one thing in it does, and none equals another's.
func TestDigestsDiffer(t *testing.T) {
	k, c, b := []byte("keeper"), []byte("commitment"), []byte("bundle")
	all := map[string][]byte{
		"receipt":                   ReceiptDigest("c", "o", "v", 1, 1, c, b),
		"receipt, other chain":      ReceiptDigest("d", "o", "v", 1, 1, c, b),
		"receipt, other owner":      ReceiptDigest("c", "p", "v", 1, 1, c, b),
		"receipt, moved":            ReceiptDigest("co", "", "v", 1, 1, c, b),
		"receipt, other vm":         ReceiptDigest("c", "o", "w", 1, 1, c, b),
		"receipt, other instance":   ReceiptDigest("c", "o", "v", 2, 1, c, b),
		"receipt, other epoch":      ReceiptDigest("c", "o", "v", 1, 2, c, b),
		"receipt, other commitment": ReceiptDigest("c", "o", "v", 1, 1, b, b),
		"receipt, other bundle":     ReceiptDigest("c", "o", "v", 1, 1, c, c),
		"share":                     ShareAAD("c", "o", "v", 1, k, 1),
		"share, other chain":        ShareAAD("d", "o", "v", 1, k, 1),
		"share, other owner":        ShareAAD("c", "p", "v", 1, k, 1),
		"share, other vm":           ShareAAD("c", "o", "w", 1, k, 1),
		"share, other instance":     ShareAAD("c", "o", "v", 2, k, 1),
		"share, other keeper":       ShareAAD("c", "o", "v", 1, c, 1),
		"share, other epoch":        ShareAAD("c", "o", "v", 1, k, 2),
		"bundle":                    BundleAAD("c", "o", "v", 1),
		"bundle, other chain":       BundleAAD("d", "o", "v", 1),
		"bundle, other owner":       BundleAAD("c", "p", "v", 1),
		"bundle, other vm":          BundleAAD("c", "o", "w", 1),
		"bundle, other instance":    BundleAAD("c", "o", "v", 2),
		"user data":                 UserDataAAD("c", "o", "v"),
		"user data, other chain":    UserDataAAD("d", "o", "v"),
		"user data, other owner":    UserDataAAD("c", "p", "v"),
		"user data, other vm":       UserDataAAD("c", "o", "w"),
	}
	seen := map[string]string{}
	for name, d := range all {
		if other, ok := seen[string(d)]; ok {
			t.Errorf("%s is %s", name, other)
		}
		seen[string(d)] = name
	}
}

func TestLimitsFitAKeeper(t *testing.T) {
	if total := 8*MaxSealedBundle + MaxSealedUserData; total > 128<<10 {
		t.Errorf("eight bundles and user data take %d bytes, over 128 KiB", total)
	}
}

func FuzzDecodeBundle(f *testing.F) {
	good, err := EncodeBundle(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBundle(data, vmID, 2)
		if err != nil {
			return
		}
		if _, err := EncodeBundle(b); err != nil && len(data) < MaxBundle/2 {
			t.Fatalf("decoded what cannot be encoded: %v", err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	secret := bytes.Repeat([]byte{9}, KeySize)
	sealed, err := Seal(rand.Reader, secret, LabelBundle, nil, []byte("x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Open(secret, LabelBundle, nil, data); err == nil && !bytes.Equal(data, sealed) && len(data) < sealOverhead {
			t.Fatal("opened too little")
		}
	})
}
