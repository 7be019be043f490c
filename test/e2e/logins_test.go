package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hippius/compute/daemon/devnet/demo"
)

// logins are all the ways into a VM: keys of every kind, and OpenSSH's own
// programs from the configuration that hippius writes.
type logins struct {
	t       *testing.T
	tenant  *demo.Tenant
	openssh *openssh
	keys    map[string]string // the private key's path, by the name in the account
	vm      string
}

// newLogins creates a VM that lets three keys of the account in, of every
// kind that needs no token, and not the fourth.
func newLogins(t *testing.T, tenant *demo.Tenant, vm, plan string) *logins {
	t.Helper()
	// A folder whose name needs quotes wherever it is written.
	dir := filepath.Join(tenant.Dir, "my own laptop")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := &logins{t: t, tenant: tenant, vm: vm, keys: map[string]string{"laptop": tenant.Key()}}
	l.openssh = &openssh{
		t: t, dir: dir, config: filepath.Join(dir, ".ssh", "config"),
		// Nothing but the file leads to the tenant's wallet, and nothing opens it: the device's place in the mesh is all it takes.
		env: append(os.Environ(), "SSH_AUTH_SOCK=", "HIPPIUS_HOME=", "HIPPIUS_PASSPHRASE_FILE="),
	}
	for name, kind := range map[string][]string{
		"rsa": {"-t", "rsa", "-b", "3072"}, "ecdsa": {"-t", "ecdsa", "-b", "256"}, "other": {"-t", "ed25519"},
	} {
		l.keys[name] = filepath.Join(dir, name)
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", append(kind, "-q", "-N", "", "-f", l.keys[name])...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
		l.hippius("key", "add", name, l.keys[name]+".pub")
	}
	l.hippius("vm", "create", vm, "--plan", plan, "--image", "tiny", "--ssh-key", "laptop", "--ssh-key", "rsa", "--ssh-key", "ecdsa", "--wait")
	return l
}

// hippius calls the command line, which must succeed.
func (l *logins) hippius(args ...string) string {
	l.t.Helper()
	out, err := l.tenant.Run(l.t.Context(), args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func (l *logins) host() string { return l.vm + ".hippius" }

// wantOpen tries every key.
func (l *logins) wantOpen(names ...string) {
	l.t.Helper()
	want := strings.Join(names, " ")
	for name, key := range l.keys {
		let := l.openssh.opens(key, l.host())
		if wanted := strings.Contains(" "+want+" ", " "+name+" "); let != wanted {
			l.t.Errorf("key %s let in: %t, want %t", name, let, wanted)
		}
	}
}

// check logs in with every key, copies and forwards.
func (l *logins) check() {
	l.t.Helper()
	home := l.tenant.Env
	l.tenant.Env = append(home, "HOME="+l.openssh.dir)
	l.hippius("ssh-config", "--install")
	l.tenant.Env = home
	l.wantOpen("laptop", "rsa", "ecdsa")

	// From here on the file says which key, too.
	l.hippius("ssh-config", "-i", l.keys["rsa"])
	l.openssh.copies(l.host())
	l.openssh.forwards(l.host())
	l.hippius("ssh-config")
}

// removeKey takes a key off the account, which the VM keeps.
func (l *logins) removeKey() {
	l.t.Helper()
	if out, err := l.tenant.Run(l.t.Context(), "key", "rm", "rsa"); err == nil {
		l.t.Errorf("a key that a VM uses was removed: %s", out)
	}
	if out := l.hippius("key", "rm", "rsa", "--force"); !strings.Contains(out, "Still accepted by "+l.vm) {
		l.t.Errorf("what the removed key opens is not said: %q", out)
	}
	if out, err := l.tenant.Run(l.t.Context(), "vm", "create", "other-1", "--plan", "mini", "--image", "tiny", "--ssh-key", "rsa"); err == nil {
		l.t.Errorf("a new VM took the removed key: %s", out)
	}
	l.wantOpen("laptop", "rsa", "ecdsa")
}

// rebuilt has to have locked the removed key out.
func (l *logins) rebuilt() {
	l.t.Helper()
	l.wantOpen("laptop", "ecdsa")
}
