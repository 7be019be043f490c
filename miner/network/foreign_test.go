package network

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hippius/compute/internal/testkit"
)

// blocked asks in the host's namespace.
func (w *world) blocked(t *testing.T) (found []string) {
	t.Helper()
	testkit.Check(t, w.host.Do(func() (err error) {
		found, err = Blocked(w.cfg.Tag)
		return err
	}))
	return found
}

// Another program's policy for what is forwarded, as Docker's is, cuts VMs off: it is found, until rules of it let the taps' packets
// through in both directions.
func TestAnothersForwardPolicyIsFound(t *testing.T) {
	w := newWorld(t)
	w.guard(t)
	g := w.boot(t, w.ensure(t, vmID(1), "alice", 0))
	far := w.ear(t, w.beyond, publicAddr+":7000")
	nft := func(args ...string) {
		t.Helper()
		w.run(t, w.host, append([]string{"nft"}, args...)...)
	}
	asked := 0
	passes := func() bool {
		t.Helper()
		asked++
		for range 20 {
			what := fmt.Sprint("call ", asked)
			g.send(t, 5000, publicAddr+":7000", what)
			time.Sleep(20 * time.Millisecond)
			if _, ok := far.heard(what); ok {
				return true
			}
		}
		return false
	}
	want := func(blocked bool) {
		t.Helper()
		if got := w.blocked(t); slices.Contains(got, "FORWARD in table filter") != blocked {
			t.Fatalf("found %q, want it blocked: %v\n%s", got, blocked, w.rules(t))
		}
		testkit.Within(t, repairTime, "the guard to say so", func() bool { return (w.net.Stats().Blocked > 0) == blocked })
	}
	if want(false); !passes() {
		t.Fatal("nothing passes")
	}
	nft("add", "table", "ip", "filter")
	nft("add", "chain", "ip", "filter", "FORWARD", "{ type filter hook forward priority 0; policy accept; }")
	nft("add", "chain", "ip", "filter", "DOCKER-USER")
	nft("add", "rule", "ip", "filter", "FORWARD", "jump", "DOCKER-USER")
	want(false)
	nft("add", "chain", "ip", "filter", "FORWARD", "{ policy drop; }")
	if want(true); passes() {
		t.Fatal("it passes all the same")
	}
	prefix := w.net.prefix()
	nft("add", "rule", "ip", "filter", "DOCKER-USER", "iifname", prefix+"*", "accept")
	nft("add", "rule", "ip", "filter", "DOCKER-USER", "oifname", "eth*", "accept")
	nft("add", "rule", "ip", "filter", "DOCKER-USER", "oifname", prefix+"*", "drop")
	want(true) // no answer comes back
	nft("add", "rule", "ip", "filter", "DOCKER-USER", "oifname", "hip*", "counter", "accept")
	if want(false); !passes() {
		t.Fatal("nothing passes")
	}
	nft("flush", "chain", "ip", "filter", "DOCKER-USER")
	want(true)
	nft("add", "rule", "ip", "filter", "DOCKER-USER", "counter", "accept")
	want(false)
}
