// Package deploy tests what operators install: units and packages.
package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// exposure is the most that systemd may find of each unit, of 10. The miner is root, and so more.
func exposure() map[string]float64 {
	return map[string]float64{"hippiusd": 1.5, "hippius-sentinel": 1.5, "hippius-gateway": 1.5, "hippius-miner": 3.5}
}

// The units are what systemd understands, and leave their programs little.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not here; runs where systemd is installed, as on any Debian")
	}
	// systemd looks at the units as installed beside its own; the programs need only be there.
	dir := t.TempDir()
	run(t, "cp", "-a", "/lib/systemd/system/.", mkdir(t, dir, "lib/systemd/system"))
	bin := mkdir(t, dir, "usr/bin")
	units := mkdir(t, dir, "etc/systemd/system")
	for name := range exposure() {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/true\n"), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
		run(t, "cp", filepath.Join(root, "deploy/systemd", name+".service"), units)
	}
	level := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)
	for name, most := range exposure() {
		if out := run(t, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "--root="+dir, name+".service"); out != "" {
			t.Errorf("%s: systemd says %s", name, out)
		}
		out := run(t, "systemd-analyze", "security", "--no-pager", "--offline=yes", "--root="+dir, name+".service")
		m := level.FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("%s: no exposure level in %s", name, out)
		}
		got, err := strconv.ParseFloat(m[1], 64)
		if err != nil || got > most {
			t.Errorf("%s: exposure %v, at most %v: %v", name, got, most, err)
		}
		t.Logf("%s: exposure %v", name, got)
	}
}

// What VMs depend on when the miner stops.
func TestMinerUnitLetsVMsLive(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "deploy/systemd/hippius-miner.service"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"KillMode=process", "RuntimeDirectoryPreserve=yes", "RuntimeDirectoryMode=0711", "StateDirectoryMode=0711"} {
		if !bytes.Contains(text, []byte("\n"+line+"\n")) {
			t.Errorf("the miner's unit lacks %s", line)
		}
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "Requires=") || strings.HasPrefix(line, "BindsTo=") || strings.HasPrefix(line, "PartOf=") {
			t.Errorf("the miner would stop with another unit: %s", line)
		}
	}
}

func mkdir(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// run gives what a command printed; it must succeed.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
