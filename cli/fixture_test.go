package cli

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/cli/connect"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/tenant"
)

const (
	testPhrase     = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
	testPassphrase = "correct horse battery"
)

// desk is somebody's home folder and what the tool said there.
type desk struct {
	*command
	out, err bytes.Buffer
	dir      string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{dir: t.TempDir()}
	d.command = &command{format: formatTable, env: Env{
		In: strings.NewReader(""), Out: &d.out, Err: &d.err, Home: filepath.Join(d.dir, "home"),
		Getenv: func(string) string { return "" }, Now: time.Now, Self: "/usr/bin/hippius",
		WorkFactor: 1, Log: slog.New(slog.DiscardHandler),
	}}
	if err := d.ensureHome(); err != nil {
		t.Fatal(err)
	}
	return d
}

// file writes a private file and gives its path.
func (d *desk) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loggedIn makes a wallet, and a network nobody answers for.
func (d *desk) loggedIn(t *testing.T) *wallet.Wallet {
	t.Helper()
	d.passphraseFile = d.file(t, "passphrase", testPassphrase+"\n")
	w, err := wallet.FromPhrase(testPhrase)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.walletFile().Create(w, testPassphrase); err != nil {
		t.Fatal(err)
	}
	n := client.Network{Name: "nowhere", ChainID: "nowhere-1", GRPC: []client.Endpoint{{Address: "127.0.0.1:1", Plain: true}}}
	data, err := n.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.writeFile(profileFile, data); err != nil {
		t.Fatal(err)
	}
	return w
}

// run calls the whole tool in this home folder.
func (d *desk) run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	d.out.Reset()
	d.err.Reset()
	if d.passphraseFile != "" {
		args = append([]string{"--passphrase-file", d.passphraseFile}, args...)
	}
	status = Run(t.Context(), d.env, args)
	return status, d.out.String(), d.err.String()
}

// newMaker makes the bundles of a VM, by a wallet of which every other test knows the phrase.
func newMaker(t *testing.T, id vm.ID) tenant.Maker {
	t.Helper()
	w, err := wallet.FromPhrase(testPhrase)
	if err != nil {
		t.Fatal(err)
	}
	seed := func(label string) []byte {
		s, err := w.Seed(label)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	host, err := tenant.NewHostCA(seed("host " + string(id)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	authority, err := connect.Certificates{}.Make(seed(mesh.AuthorityLabel), mesh.Block(testBlock).Networks(), w.Address(), now)
	if err != nil {
		t.Fatal(err)
	}
	return tenant.Maker{ID: id, Name: "web-1", Addr: vmAddr(t), Authority: authority, Host: host, Now: now}
}

const (
	testVM    = "00112233445566778899aabbccddeeff"
	testBlock = 7
)

func vmAddr(t *testing.T) netip.Addr {
	t.Helper()
	addr, err := mesh.Block(testBlock).Addr(mesh.FirstVM)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
