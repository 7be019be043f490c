package connect

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

	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/tenant"
)

const (
	phrase = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
	other  = "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong"
	testVM = "00112233445566778899aabbccddeeff"
)

func open(t *testing.T, phrase string) *wallet.Wallet {
	t.Helper()
	w, err := wallet.FromPhrase(phrase)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func seed(t *testing.T, w *wallet.Wallet, label string) []byte {
	t.Helper()
	s, err := w.Seed(label)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newMaker makes the bundles of a VM, and gives the account's authority, too.
func newMaker(t *testing.T, phrase string, now time.Time) (tenant.Maker, *cert.Certificate) {
	t.Helper()
	w := open(t, phrase)
	host, err := tenant.NewHostCA(seed(t, w, "a host's"))
	if err != nil {
		t.Fatal(err)
	}
	const index = 7
	addr, err := mesh.Block(index).Addr(mesh.FirstVM)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := Certificates{}.Make(seed(t, w, mesh.AuthorityLabel), mesh.Block(index).Networks(), w.Address(), now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cert.Parse(authority.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	return tenant.Maker{ID: testVM, Name: "web-1", Addr: addr, Authority: authority, Host: host, Now: now}, c
}

// A bundle's certificates are what a peer in the mesh and an SSH client accept, for this VM and no other.
func TestBundleIsWhatPeersAccept(t *testing.T) {
	m, authority := newMaker(t, phrase, time.Now())
	b, public, err := m.Bundle(3)
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
	if err := cert.Verify(issued, m.Now, authority); err != nil {
		t.Error(err)
	}
	if cert.Verify(issued, m.Now.Add(tenant.CertLife+time.Hour), authority) == nil {
		t.Error("the mesh certificate does not end")
	}
	if _, stranger := newMaker(t, other, m.Now); cert.Verify(issued, m.Now, stranger) == nil {
		t.Error("another tenant's CA vouches for it")
	}
	if got := issued.Networks(); len(got) != 1 || got[0].Addr() != m.Addr {
		t.Errorf("mesh certificate is for %v, want %s", got, m.Addr)
	}
	if hex.EncodeToString(public.MeshFingerprint) != issued.Fingerprint() {
		t.Error("the chain is told of another mesh certificate")
	}
	checkMeshKey(t, b, issued)

	host := hostCert(t, b)
	checker := ssh.CertChecker{
		IsHostAuthority: func(key ssh.PublicKey, _ string) bool {
			ours, err := ssh.NewPublicKey(m.Host.Public())
			return err == nil && bytes.Equal(key.Marshal(), ours.Marshal())
		},
		Clock: func() time.Time { return m.Now },
	}
	for _, name := range []string{testVM, m.Addr.String(), "web-1"} {
		if err := checker.CheckCert(name, host); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if checker.CheckCert("00000000000000000000000000000000", host) == nil {
		t.Error("the host certificate is valid for another VM")
	}
	key, err := ssh.ParsePrivateKey([]byte(b.SSHHostKey))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key.PublicKey().Marshal(), host.Key.Marshal()) {
		t.Error("the host certificate is for another key")
	}
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
	if block == nil || len(rest) != 0 || block.Type != "NEBULA X25519 PRIVATE KEY" || len(block.Bytes) != 32 {
		t.Fatalf("mesh key is %q", b.MeshKey)
	}
	if bytes.Equal(block.Bytes, issued.PublicKey()) {
		t.Error("the private mesh key is the public one")
	}
}

// Whoever learns one instance's secrets learns none of another's: an instance that is fenced off stays so.
func TestInstancesShareNothingSecret(t *testing.T) {
	m, authority := newMaker(t, phrase, time.Now())
	seen := map[[32]byte]string{}
	for seq := uint32(1); seq <= 4; seq++ {
		b, _, err := m.Bundle(seq)
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
	if authority.NotAfter().Before(m.Now.Add(tenant.CertLife)) {
		t.Errorf("the CA ends before the certificates it signs: %s", ca.DefaultLifetime)
	}
}
