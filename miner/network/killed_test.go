package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/crashpoint"
)

// childDoes is the environment variable that makes this test's program a miner's network for one call: "ensure ID",
// "remove ID" or "open".
const childDoes = "NETWORK_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childDoes); what != "" {
		if err := child(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func testConfig() Config {
	c := DefaultConfig()
	c.Tag, c.TapUser = "t1", "nobody"
	return c
}

func child(what string) error {
	ctx := context.Background()
	n, err := New(ctx, testConfig())
	if err != nil {
		return err
	}
	switch call, id, _ := strings.Cut(what, " "); call {
	case "remove":
		return n.Remove(ctx, id)
	case "ensure":
		_, err = n.Ensure(ctx, Attachment{VM: id, Tenant: "alice", BitsPerSec: 10e6})
		return err
	}
	return nil
}

// killedAt has another process make a call and die at a point of it. It reports whether it came there.
func (w *world) killedAt(t *testing.T, point, what string) bool {
	t.Helper()
	cmd := w.host.Command(t.Context(), "/proc/self/exe")
	cmd.Path, cmd.Args[0] = os.Args[0], os.Args[0]
	cmd.Env = append(os.Environ(), childDoes+"="+what, fault.Env+"="+point+"=kill")
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true
		}
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", what, err, out)
	}
	return false
}

// A miner is killed with -9 at every point of making a tap, of removing it, and of repairing it after all rules were
// flushed. The next one makes it whole, once, and removes all of it. At no point is the tap up without rules.
func TestKilledAnywhere(t *testing.T) {
	w := newWorld(t)
	for n, point := range crashpoint.Of("network") {
		t.Run(point, func(t *testing.T) {
			id := vmID(100 + n)
			made := w.killedAt(t, point, "ensure "+id)
			w.open(t)
			tap := w.ensure(t, id, "alice", 10e6)
			w.wantWhole(t, tap)
			whole := w.rules(t)
			w.run(t, w.host, "nft", "flush", "ruleset")
			repaired := w.killedAt(t, point, "open")
			w.wantClosed(t, tap, whole)
			w.open(t)
			w.wantWhole(t, tap)
			removed := w.killedAt(t, point, "remove "+id)
			w.wantClosed(t, tap, whole)
			w.open(t)
			testkit.Check(t, w.host.Do(func() error { return w.net.Remove(t.Context(), id) }))
			links, rules := w.run(t, w.host, "ip", "-o", "link"), w.run(t, w.host, "nft", "list", "ruleset")
			if strings.Contains(links, tap.Name) || strings.Contains(rules, tap.Name) || strings.Contains(rules, tap.MAC) {
				t.Errorf("left behind:\n%s\n%s", links, rules)
			}
			if !made && !repaired && !removed {
				t.Error("no process came to it")
			}
		})
	}
}

// wantClosed looks that a tap is not there or not up, or has all its rules.
func (w *world) wantClosed(t *testing.T, tap Tap, whole string) {
	t.Helper()
	up := w.run(t, w.host, "ip", "-o", "link", "show", "up")
	if rules := w.rules(t); strings.Contains(up, tap.Name) && rules != whole {
		t.Errorf("tap %s is up, and the rules are %s", tap.Name, rules)
	}
}

// wantWhole looks that a tap is the only one, has its address, its cap and its rules, and is switched on.
func (w *world) wantWhole(t *testing.T, tap Tap) {
	t.Helper()
	testkit.Check(t, w.host.Do(func() error {
		taps, err := w.net.List(t.Context())
		if err == nil && (len(taps) != 1 || taps[0] != tap) {
			t.Errorf("taps %+v, want %+v alone", taps, tap)
		}
		return err
	}))
	for what, c := range map[string]struct {
		argv []string
		want string
	}{
		"switched on": {[]string{"ip", "-o", "link", "show", "dev", tap.Name, "up"}, tap.Name},
		"address":     {[]string{"ip", "-o", "-4", "address", "show", "dev", tap.Name}, tap.Host.String()},
		"cap":         {[]string{"tc", "qdisc", "show", "dev", tap.Name}, "rate 10Mbit"},
		"rules":       {[]string{"nft", "list", "ruleset"}, `"` + tap.Name + `"`},
		"anti-spoof":  {[]string{"nft", "list", "ruleset"}, tap.MAC},
	} {
		if out := w.run(t, w.host, c.argv...); !strings.Contains(out, c.want) {
			t.Errorf("%s: want %q in %q", what, c.want, out)
		}
	}
}
