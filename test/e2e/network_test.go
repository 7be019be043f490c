// Package e2e tests whole networks: a tenant rents a VM, uses it through
// its life, and pays for it.
package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hippius/compute/cli"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/internal/testkit"
)

// fakeNetwork is a whole network inside this process, its VMs simulated.
func fakeNetwork(t *testing.T, change func(*devnet.Config)) *devnet.Net {
	t.Helper()
	c := devnet.Default()
	c.Dir = testkit.ShortDir(t)
	c.Driver = devnet.Fake
	c.BlockTime = 100 * time.Millisecond
	c.Log = testkit.Logger(t)
	c.Images = fakeImages(t)
	c.Apps = []plan.App{{Name: "nginx", Description: "a web server", Recipe: "#cloud-config\npackages: [nginx]\n"}}
	if change != nil {
		change(&c)
	}
	n, err := devnet.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// fakeImages is a folder as `make image` leaves it, with files no real VM would boot.
func fakeImages(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var list []map[string]any
	for _, name := range []string{"debian-12", "tiny"} {
		file := name + ".qcow2"
		data := []byte("not really " + name)
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
		list = append(list, map[string]any{
			"name": name, "os": name, "version": "12", "file": file, "sha256": sha256Hex(data), "size_bytes": len(data),
			"virtual_size_bytes": 1 << 30, "format": "qcow2", "arch": "amd64", "user": "hippius",
		})
	}
	data, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "images.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tenant is somebody with the command line.
type tenant struct {
	t    *testing.T
	dir  string
	pass string
}

// newTenant logs a new account in.
func newTenant(t *testing.T, n *devnet.Net) *tenant {
	t.Helper()
	dir := testkit.ShortDir(t)
	u := &tenant{t: t, dir: filepath.Join(dir, "home"), pass: filepath.Join(dir, "passphrase")}
	if err := os.WriteFile(u.pass, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u.ok("login", "--network", n.Profile())
	return u
}

// run calls the command line and gives its exit status and what it printed.
func (u *tenant) run(args ...string) (status int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	env := cli.SystemEnv()
	env.In, env.Out, env.Err, env.Home, env.Interactive = strings.NewReader(""), &out, &errOut, u.dir, false
	env.Getenv = func(k string) string {
		if k == "HIPPIUS_PASSPHRASE_FILE" {
			return u.pass
		}
		return ""
	}
	status = cli.Run(u.t.Context(), env, args)
	return status, out.String(), errOut.String()
}

// ok calls the command line, which must succeed, and gives what it printed.
func (u *tenant) ok(args ...string) string {
	u.t.Helper()
	status, out, errOut := u.run(args...)
	if status != 0 {
		u.t.Fatalf("hippius %s: status %d\n%s%s", strings.Join(args, " "), status, out, errOut)
	}
	return out
}

// refused calls the command line, which must fail with words.
func (u *tenant) refused(words string, args ...string) {
	u.t.Helper()
	status, out, errOut := u.run(args...)
	if status == 0 || !strings.Contains(errOut, words) {
		u.t.Errorf("hippius %s: status %d, want a refusal with %q\n%s%s", strings.Join(args, " "), status, words, out, errOut)
	}
}

// read calls the command line for JSON.
func (u *tenant) read(v any, args ...string) {
	u.t.Helper()
	out := u.ok(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		u.t.Fatalf("hippius %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// publicKey is a file with a new SSH public key.
func (u *tenant) publicKey() string {
	u.t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		u.t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		u.t.Fatal(err)
	}
	file := filepath.Join(u.t.TempDir(), "key.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(key), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return file
}
