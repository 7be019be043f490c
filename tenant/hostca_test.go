package tenant

import (
	"bytes"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/hippius/compute/core/vm"
)

func issueHost(t *testing.T, seed byte, alias string, from, to time.Time) (*HostCA, HostKey) {
	t.Helper()
	ca, err := NewHostCA(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	h, err := ca.Issue(rand.Reader, vm.ID(alias), 3, []string{alias, "web-1"}, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return ca, h
}

func TestClientAcceptsOnlyTheCAOfTheSpec(t *testing.T) {
	now := time.Now()
	ca, good := issueHost(t, 1, "vm-a", now.Add(-time.Hour), now.Add(time.Hour))
	_, other := issueHost(t, 2, "vm-a", now.Add(-time.Hour), now.Add(time.Hour))
	_, stale := issueHost(t, 1, "vm-a", now.Add(-2*time.Hour), now.Add(-time.Hour))
	_, wrong := issueHost(t, 1, "vm-b", now.Add(-time.Hour), now.Add(time.Hour))
	line, err := KnownHosts("vm-a", ca.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	check, err := knownhosts.New(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		host HostKey
		ok   bool
	}{"of the CA": {good, true}, "of another CA": {other, false}, "expired": {stale, false}, "of another VM": {wrong, false}} {
		cert, _, _, _, err := ssh.ParseAuthorizedKey([]byte(c.host.Cert))
		if err != nil {
			t.Fatal(err)
		}
		err = check("vm-a:22", &net.TCPAddr{IP: net.IPv4(100, 64, 0, 2), Port: 22}, cert)
		if (err == nil) != c.ok {
			t.Errorf("certificate %s: accepted is %v, want %v (%v)", name, err == nil, c.ok, err)
		}
	}
	key, err := ssh.ParsePrivateKey([]byte(good.Key))
	if err != nil {
		t.Fatal(err)
	}
	cert, _, _, _, err := ssh.ParseAuthorizedKey([]byte(good.Cert))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(cert.(*ssh.Certificate).Key.Marshal(), key.PublicKey().Marshal()) {
		t.Error("the certificate is for another key")
	}
}

func TestHostCARefusesBadInput(t *testing.T) {
	if _, err := NewHostCA(make([]byte, 31)); err == nil {
		t.Error("a short seed was taken")
	}
	if _, err := KnownHosts("vm", make([]byte, 33)); err == nil {
		t.Error("a long CA key was taken")
	}
}
