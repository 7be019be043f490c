package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/hippius/compute/internal/testkit"
)

const (
	minerBinary = "hippius-miner"
	nextVersion = "v999-next"
	// schemaCopy is of the database before the next version's migration.
	schemaCopy = "miner.db.schema2"
)

// buildNext builds the miner of the next version from today's source: it has one more migration of its database and
// speaks one more version of the guests' language.
func buildNext(t *testing.T) string {
	t.Helper()
	root := repository(t)
	replace := map[string]string{}
	for file, by := range map[string]string{"miner/record/migrations.go": "migrations.go", "core/guest/spoken.go": "spoken.go"} {
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			t.Fatalf("the next version replaces what is not there: %v", err)
		}
		replace[filepath.Join(root, file)] = filepath.Join(root, "test/e2e/testdata/next", by+".overlay")
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, minerBinary)
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", file, "-ldflags", "-s -w -X main.version="+nextVersion, "-o", program, "./cmd/"+minerBinary)
	build.Dir = root
	// As `make` builds, so that little is compiled again.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the next version: %v\n%s", err, out)
	}
	return program
}

// install puts a program in the place of another as a package does: whoever runs it runs on.
func install(t *testing.T, program, at string) {
	t.Helper()
	in, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()                                                              //nolint:errcheck // only read from
	out, err := os.OpenFile(at+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o700) //nolint:gosec // it is run
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(at+".new", at); err != nil {
		t.Fatal(err)
	}
}

// A newer miner is installed over the older one while a VM runs: once the older is stopped as systemd does, once it
// is killed. In between the older one is tried over the newer one's database, which it refuses, and goes on with the copy
// that the newer one made, as an operator would who goes back. What follows after this is done by the newer one.
func (c *crashes) upgrade(t *testing.T) {
	next, today := buildNext(t), c.built
	was := c.minerVersion(t)
	if was == "" || was == nextVersion {
		t.Fatalf("the miner says that it is of version %q", was)
	}
	data := filepath.Join(c.net.Dir(), minerProgram)
	c.exchange(t, next, nextVersion, func() { c.terminate(t) })
	if out, err := c.onHost(t, "ls", filepath.Join(data, schemaCopy)); err != nil {
		t.Errorf("no copy was made before the migration: %v: %s", err, out)
	}

	c.exchange(t, today, was, func() {
		c.terminate(t)
		out, err := c.onHost(t, c.program, "--config", filepath.Join(c.net.Dir(), minerProgram+".yaml"))
		if err == nil || !strings.Contains(out, "written by a newer version of this program") || !strings.Contains(out, filepath.Join(data, schemaCopy)) {
			t.Fatalf("the older version over the newer one's database: %v, %s", err, out)
		}
		if out, err := c.onHost(t, "cp", filepath.Join(data, schemaCopy), filepath.Join(data, "miner.db")); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})

	c.exchange(t, next, nextVersion, func() { c.kill(t, minerProgram) })
}

// exchange installs a program over the miner's, ends the process that runs, and starts the new one, which takes over: the
// same VM in the same process, the same sessions, and no second that is not charged.
func (c *crashes) exchange(t *testing.T, program, version string, end func()) {
	t.Helper()
	before := c.ledger.now()
	started := time.Now()
	c.unharmed(t, func() {
		install(t, program, c.program)
		end()
		c.session.goesOn(t)
		mark, last := c.ledger.mark(), c.ledger.now()
		c.restart(t, minerProgram)
		c.ledger.await(t, mark, "attested again", func(e entry) bool { return e.lastAt > last.lastAt })
	})
	testkit.Eventually(t, time.Minute, func() error {
		if now := c.minerVersion(t); now != version {
			return fmt.Errorf("the chain says version %q of the miner, want %q", now, version)
		}
		return nil
	})
	if says := c.minerMetrics(t); !strings.Contains(says, `version="`+version+`"`) {
		t.Errorf("its metrics do not say version %q", version)
	}
	after := c.ledger.now()
	if after.readyAt != before.readyAt || after.running-before.running != after.lastAt-before.lastAt {
		t.Errorf("not every second of an upgrade is charged:\n%s", listed([]entry{before, after}))
	}
	t.Logf("%s took over in %.1f s; %d s attested, all charged", version, time.Since(started).Seconds(), after.lastAt-before.lastAt)
}

// terminate ends the miner as systemd does, and returns when it is gone.
func (c *crashes) terminate(t *testing.T) {
	t.Helper()
	pid := c.net.PID(minerProgram)
	t.Logf("SIGTERM to %s", minerProgram)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 30*time.Second, func() error {
		if err := syscall.Kill(pid, 0); err == nil {
			return fmt.Errorf("process %d lives", pid)
		}
		return nil
	})
}

// minerVersion is what tenants are shown.
func (c *crashes) minerVersion(t *testing.T) string {
	t.Helper()
	var v struct {
		Version string `json:"version"`
	}
	if err := c.tenant.JSON(t.Context(), &v, "miner", "show", minerProgram); err != nil {
		t.Fatal(err)
	}
	return v.Version
}

// minerMetrics asks the miner for its metrics, on its host's own loopback.
func (c *crashes) minerMetrics(t *testing.T) string {
	t.Helper()
	settings, err := os.ReadFile(filepath.Join(c.net.Dir(), minerProgram+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Observe string `yaml:"observe"`
	}
	if err := yaml.Unmarshal(settings, &set); err != nil {
		t.Fatal(err)
	}
	get := fmt.Sprintf(`exec 3<>/dev/tcp/%s; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3`, strings.Replace(set.Observe, ":", "/", 1))
	out, err := c.onHost(t, "bash", "-c", get)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return out
}

// onHost runs a command on the miner's host.
func (c *crashes) onHost(t *testing.T, argv ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // what should have ended may run for ever
	defer cancel()
	out, err := c.net.Lab(0).Command(ctx, argv...).CombinedOutput()
	return string(out), err
}
