package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hippius/compute/core/vm"
)

// understood is what ssh makes of a configuration for a host.
func understood(t *testing.T, config, host string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), needSSH(t), "-G", "-F", config, host).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		if _, ok := got[key]; !ok {
			got[key] = value
		}
	}
	return got
}

// configured writes the configuration of one VM into the home folder, and gives one that includes it.
func configured(t *testing.T, d *desk, f sshConfigFlags) (own string) {
	t.Helper()
	text, hosts, err := d.sshConfigText(f, []vm.VM{sshVM(t, newMaker(t, testVM))})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(hosts, []string{"web-1.hippius"}) {
		t.Errorf("hosts %q", hosts)
	}
	if err := d.writeFile(sshConfigFile, text); err != nil {
		t.Fatal(err)
	}
	own = d.file(t, "config", includeLine(d.path(sshConfigFile))+"\n\nHost web-1\n    User me\n")
	return own
}

func TestSSHConfigIsUnderstood(t *testing.T) {
	needSSH(t)
	for _, dir := range append(oddFolders(), "star*[x]?") {
		d, _ := oddDesk(t, dir)
		identity := filepath.Join(d.env.Home, "key")
		if err := os.WriteFile(identity, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		own := configured(t, d, sshConfigFlags{identity: identity})
		for _, host := range []string{"web-1.hippius", testVM} {
			got := understood(t, own, host)
			for key, want := range map[string]string{
				"hostname": vmAddr(t).String(), "user": defaultUser, "hostkeyalias": testVM, "port": "22",
				"userknownhostsfile": d.path("known_hosts.d/" + testVM), "globalknownhostsfile": "/dev/null",
				"stricthostkeychecking": "true", "hostkeyalgorithms": "ssh-ed25519-cert-v01@openssh.com",
				"passwordauthentication": "no", "identityfile": identity, "identitiesonly": "yes",
			} {
				// ssh takes the path's doubled percent signs apart only when it connects.
				if value := strings.ReplaceAll(got[key], "%%", "%"); value != want {
					t.Errorf("%s, %s: %s is %q, want %q", dir, host, key, value, want)
				}
			}
		}
		// The user's own host of the same name is another.
		if got := understood(t, own, "web-1"); got["user"] != "me" || got["hostname"] != "web-1" || got["proxycommand"] != "" {
			t.Errorf("%s: the user's own web-1 became %q at %q by %q", dir, got["user"], got["hostname"], got["proxycommand"])
		}
	}
}

// Plain ssh starts the proxy as this very program with this very home folder.
func TestSSHConfigStartsTheProxy(t *testing.T) {
	for _, dir := range oddFolders() {
		d, called := oddDesk(t, dir)
		own := configured(t, d, sshConfigFlags{})
		out, err := exec.CommandContext(t.Context(), needSSH(t), "-F", own, "-T", "web-1.hippius").CombinedOutput()
		if err == nil {
			t.Errorf("%s: ssh got in through a proxy that ended", dir)
		}
		got, err := os.ReadFile(called)
		if err != nil {
			t.Errorf("%s: the proxy was not started: %v\n%s", dir, err, out)
			continue
		}
		want := []string{"ssh-proxy", "--home", d.env.Home, vmAddr(t).String(), "22"}
		if words := strings.Split(strings.TrimSuffix(string(got), "\x00"), "\x00"); !slices.Equal(words, want) {
			t.Errorf("%s: the proxy was called with %q, want %q", dir, words, want)
		}
	}
}

func TestSSHConfigRefuses(t *testing.T) {
	d := newDesk(t)
	vms := []vm.VM{sshVM(t, newMaker(t, testVM))}
	public := d.file(t, "id.pub", "ssh-ed25519 AAAA")
	for _, c := range []struct {
		f    sshConfigFlags
		want string
	}{
		{sshConfigFlags{identity: public}, "is a public key"},
		{sshConfigFlags{identity: filepath.Join(d.dir, "nothing")}, "no such file"},
		{sshConfigFlags{user: "me\nProxyCommand x"}, "is not a user name"},
		{sshConfigFlags{user: "a b"}, "is not a user name"},
	} {
		if _, _, err := d.sshConfigText(c.f, vms); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.f, err, c.want)
		}
	}
	d.env.Home += "\nHost *"
	if _, _, err := d.sshConfigText(sshConfigFlags{}, vms); err == nil {
		t.Error("a path of two lines was written")
	}
}

// The user's own configuration gets one line, once, and nothing of it is lost.
func TestIncludeIn(t *testing.T) {
	t.Parallel()
	const line = `Include "/home/me/.hippius/ssh_config"`
	for name, c := range map[string]struct{ old, want string }{
		"none":            {"", line + "\n"},
		"some":            {"# mine\nHost web-1\n  User me", line + "\n\n# mine\nHost web-1\n  User me"},
		"there":           {"# mine\n" + line + "\nHost x\n", "# mine\n" + line + "\nHost x\n"},
		"in one host":     {"Host x\n" + line + "\n", line + "\n\nHost x\n" + line + "\n"},
		"in a match":      {"match=all\n" + line + "\n", line + "\n\nmatch=all\n" + line + "\n"},
		"bytes of theirs": {"# \xff\r\nHost *\r\n", line + "\n\n# \xff\r\nHost *\r\n"},
	} {
		dir := t.TempDir()
		mine, path := filepath.Join(dir, "dotfiles"), filepath.Join(dir, ".ssh", "config")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if c.old != "" {
			if err := os.WriteFile(mine, []byte(c.old), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(mine, path); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := includeIn(path, line); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, []byte(c.want)) {
				t.Errorf("%s: it is %q, %v; want %q", name, got, err, c.want)
			}
		}
		if info, err := os.Lstat(path); err != nil || c.old != "" && info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s: the link is %v, %v", name, info.Mode(), err)
		}
	}
	if err := includeIn(filepath.Join(t.TempDir(), ".ssh", "config"), line); err != nil {
		t.Errorf("without a folder: %v", err)
	}
}
