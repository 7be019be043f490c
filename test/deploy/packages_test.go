package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The packages are installed, upgraded, removed and purged on a copy of this host that sees nothing of what happens
// to it: an overlay over its root, with a systemctl that only notes what it is asked.
func TestPackages(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("installing packages needs root; runs where tests run as root, as in CI")
	}
	for _, tool := range []string{"dpkg-deb", "unshare", "deb-systemd-helper"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%v; runs on Debian", err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "build/bin/hippius-miner")); err != nil {
		t.Fatalf("%v; 'make test' builds it first", err)
	}
	dir := t.TempDir()
	for _, version := range []string{"v1.0.0", "v1.1.0"} {
		run(t, filepath.Join(root, "tools/deb.sh"), filepath.Join(dir, version), version, "none")
	}
	// What comes before a version is older than it.
	early := filepath.Join(dir, "early")
	run(t, filepath.Join(root, "tools/deb.sh"), early, "v1.0.0-rc1-2-gabc", "none", "hippius-gateway")
	if name := filepath.Base(packageOf(t, early, "hippius-gateway")); !strings.HasPrefix(name, "hippius-gateway_1.0.0~rc1+2+gabc_") {
		t.Errorf("the package of v1.0.0-rc1-2-gabc is %s", name)
	}
	run(t, "dpkg", "--compare-versions", "1.0.0~rc1+2+gabc", "lt", "1.0.0")
	// The same input gives the same package.
	again := filepath.Join(dir, "again")
	run(t, filepath.Join(root, "tools/deb.sh"), again, "v1.0.0", "none", "hippius-gateway")
	run(t, "cmp", packageOf(t, filepath.Join(dir, "v1.0.0"), "hippius-gateway"), packageOf(t, again, "hippius-gateway"))

	script, err := filepath.Abs("packages.sh")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "unshare", "-m", "-n", "bash", script, dir).CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "packages: ok") {
		t.Fatalf("packages: %v", err)
	}
}

func packageOf(t *testing.T, dir, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, name+"_*.deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages of %s in %s: %v, %v", name, dir, found, err)
	}
	return found[0]
}
