package cli

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"reflect"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hippius/compute/cli/hostkey"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
)

func newMaker(t *testing.T, id vm.ID) maker {
	t.Helper()
	w, err := wallet.FromPhrase(testPhrase)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := w.HostCASeed(string(id))
	if err != nil {
		t.Fatal(err)
	}
	host, err := hostkey.NewCA(seed)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return maker{id: id, name: "web-1", addr: mustAddr(t, 7, 2), mesh: authority(t, w, 7, now), host: host, now: now}
}

const testVM = "00112233445566778899aabbccddeeff"

// A bundle's certificates are what a peer in the mesh and an SSH client accept, for this machine and no other.
func TestBundleIsWhatPeersAccept(t *testing.T) {
	m := newMaker(t, testVM)
	b, public, err := m.bundle(3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := instance.EncodeBundle(b); err != nil {
		t.Errorf("the miner would refuse it: %v", err)
	}
	if proof := ed25519.NewKeyFromSeed(b.ProofKey); !bytes.Equal(proof.Public().(ed25519.PublicKey), public.GuestKey) {
		t.Error("the chain is told of another proof key")
	}

	issued, err := cert.Parse([]byte(b.MeshCert))
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.Verify(issued, m.now, m.mesh.Certificate()); err != nil {
		t.Error(err)
	}
	if cert.Verify(issued, m.now.Add(certLife+time.Hour), m.mesh.Certificate()) == nil {
		t.Error("the mesh certificate does not end")
	}
	if cert.Verify(issued, m.now, authority(t, otherWallet(t), 7, m.now).Certificate()) == nil {
		t.Error("another tenant's CA vouches for it")
	}
	if got := issued.Networks(); len(got) != 1 || got[0].Addr() != m.addr {
		t.Errorf("mesh certificate is for %v, want %s", got, m.addr)
	}
	if hex.EncodeToString(public.MeshFingerprint) != issued.Fingerprint() {
		t.Error("the chain is told of another mesh certificate")
	}
	checkMeshKey(t, b, issued)

	host := hostCert(t, b)
	checker := ssh.CertChecker{
		IsHostAuthority: func(key ssh.PublicKey, _ string) bool {
			ours, err := ssh.NewPublicKey(m.host.Public())
			return err == nil && bytes.Equal(key.Marshal(), ours.Marshal())
		},
		Clock: func() time.Time { return m.now },
	}
	for _, name := range []string{testVM, m.addr.String(), "web-1"} {
		if err := checker.CheckCert(name, host); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if checker.CheckCert("00000000000000000000000000000000", host) == nil {
		t.Error("the host certificate is good for another machine")
	}
	key, err := ssh.ParsePrivateKey([]byte(b.SSHHostKey))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key.PublicKey().Marshal(), host.Key.Marshal()) {
		t.Error("the host certificate is for another key")
	}
}

func otherWallet(t *testing.T) *wallet.Wallet {
	t.Helper()
	w, err := wallet.FromPhrase("zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func hostCert(t *testing.T, b instance.Bundle) *ssh.Certificate {
	t.Helper()
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(b.SSHHostCert))
	if err != nil {
		t.Fatal(err)
	}
	cert, ok := pub.(*ssh.Certificate)
	if !ok {
		t.Fatalf("%s is no certificate", b.SSHHostCert)
	}
	return cert
}

func checkMeshKey(t *testing.T, b instance.Bundle, issued *cert.Certificate) {
	t.Helper()
	block, rest := pem.Decode([]byte(b.MeshKey))
	if block == nil || len(rest) != 0 || block.Type != meshKeyType || len(block.Bytes) != 32 {
		t.Fatalf("mesh key is %q", b.MeshKey)
	}
	if bytes.Equal(block.Bytes, issued.PublicKey()) {
		t.Error("the private mesh key is the public one")
	}
}

// Whoever learns one instance's secrets learns none of another's: an instance that is fenced off stays so.
func TestInstancesShareNothingSecret(t *testing.T) {
	m := newMaker(t, testVM)
	seen := map[[32]byte]string{}
	for seq := uint32(1); seq <= 4; seq++ {
		b, _, err := m.bundle(seq)
		if err != nil {
			t.Fatal(err)
		}
		if b.Seq != seq || b.VMID != testVM {
			t.Errorf("bundle %d is for %s, instance %d", seq, b.VMID, b.Seq)
		}
		v := reflect.ValueOf(b)
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			// What all instances have in common is public.
			if name == "MeshCA" || name == "VMID" || name == "Version" || name == "Seq" || v.Field(i).IsZero() {
				continue
			}
			value := v.Field(i)
			var raw []byte
			if value.Kind() == reflect.String {
				raw = []byte(value.String())
			} else {
				raw = value.Bytes()
			}
			sum := sha256.Sum256(raw)
			if other, ok := seen[sum]; ok {
				t.Errorf("%s of instance %d is %s", name, seq, other)
			}
			seen[sum] = name + " of an earlier instance"
		}
	}
	if m.mesh.Certificate().NotAfter().Before(m.now.Add(certLife)) {
		t.Errorf("the CA ends before the certificates it signs: %s", ca.DefaultLifetime)
	}
}
