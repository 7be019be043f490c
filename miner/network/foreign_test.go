package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
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

// forwarded is another program's table, as iptables makes it.
type forwarded struct {
	w     *world
	t     *testing.T
	g     *guest
	far   *ear
	asked int
}

func newForwarded(t *testing.T, w *world) *forwarded {
	t.Helper()
	return &forwarded{w: w, t: t, g: w.boot(t, w.ensure(t, vmID(1), "alice", 0)), far: w.ear(t, w.beyond, publicAddr+":7000")}
}

func (f *forwarded) iptables(args ...string) string {
	f.t.Helper()
	return f.w.run(f.t, f.w.host, append([]string{"iptables-nft"}, args...)...)
}

// passes tells whether what the guest sends is answered.
func (f *forwarded) passes() bool {
	f.t.Helper()
	f.asked++
	call, answer := fmt.Sprint("call ", f.asked), fmt.Sprint("answer ", f.asked)
	for range 50 {
		f.g.send(f.t, 5000, publicAddr+":7000", call)
		time.Sleep(20 * time.Millisecond)
		if from, ok := f.far.heard(call); ok {
			f.far.say(f.t, from, answer)
		}
		if f.g.hears(answer) {
			return true
		}
	}
	return false
}

// Another program's policy for what is forwarded is found, until rules of it let the taps' packets through in both directions.
func TestAnothersForwardPolicyIsFound(t *testing.T) {
	w := newWorld(t)
	f := newForwarded(t, w)
	want := func(blocked bool) {
		t.Helper()
		if got := w.blocked(t); slices.Contains(got, "FORWARD in table filter") != blocked {
			t.Fatalf("found %q, want it blocked: %v\n%s", got, blocked, f.iptables("-S"))
		}
	}
	if want(false); !f.passes() {
		t.Fatal("nothing passes")
	}
	f.iptables("-N", "DOCKER-USER")
	f.iptables("-A", "FORWARD", "-j", "DOCKER-USER")
	want(false)
	f.iptables("-P", "FORWARD", "DROP")
	if want(true); f.passes() {
		t.Fatal("it passes all the same")
	}
	prefix := TapPrefix(w.cfg.Tag)
	f.iptables("-A", "DOCKER-USER", "-i", prefix+"+", "-j", "ACCEPT")
	f.iptables("-A", "DOCKER-USER", "-o", "eth+", "-j", "ACCEPT")
	f.iptables("-A", "DOCKER-USER", "-o", prefix+"+", "-p", "tcp", "-j", "ACCEPT")
	want(true) // no answer comes back
	f.iptables("-A", "DOCKER-USER", "-o", "hip+", "-j", "ACCEPT")
	if want(false); !f.passes() {
		t.Fatal("nothing passes")
	}
	f.iptables("-F", "DOCKER-USER")
	want(true)
	f.iptables("-A", "DOCKER-USER", "-j", "ACCEPT")
	want(false)
}

// The guard has such chains let the taps' packets through, as often as it must, and nothing that their program drops on purpose. Nobody
// gets in by that.
func TestAnothersForwardPolicyIsPassed(t *testing.T) {
	w := newWorld(t)
	w.guard(t)
	f := newForwarded(t, w)
	back := func(what string) {
		t.Helper()
		testkit.Within(t, repairTime, "VMs to be reached "+what, func() bool { return len(w.blocked(t)) == 0 && f.passes() })
		if n := w.net.Stats().Blocked; n != 0 {
			t.Errorf("%s %d chains are said to cut VMs off", what, n)
		}
	}
	f.iptables("-P", "FORWARD", "DROP")
	back("after the policy")
	if listed := f.iptables("-S", "FORWARD"); strings.Count(listed, TapPrefix(w.cfg.Tag)+"+ ") != 2 {
		t.Errorf("iptables lists\n%s", listed)
	}
	f.iptables("-F", "FORWARD")
	back("after a flush")
	f.iptables("-I", "FORWARD", "-d", publicAddr, "-j", "DROP")
	if f.passes() {
		t.Error("what the program drops passes")
	}
	f.iptables("-D", "FORWARD", "-d", publicAddr, "-j", "DROP")
	back("after its rule is gone")

	stranger := w.ear(t, w.beyond, privateAddr+":7001")
	w.run(t, w.beyond, "ip", "route", "add", f.g.tap.Guest.Addr().String(), "via", uplinkAddr)
	for range 5 {
		stranger.say(t, netip.AddrPortFrom(f.g.tap.Guest.Addr(), 22), "knock")
		time.Sleep(20 * time.Millisecond)
	}
	if f.g.hears("knock") {
		t.Error("a stranger reaches the guest")
	}
	testkit.Check(t, w.host.Do(func() error { return w.net.Teardown(t.Context()) }))
	if listed := f.iptables("-S", "FORWARD"); strings.Contains(listed, TapPrefix(w.cfg.Tag)) {
		t.Errorf("after the end iptables lists\n%s", listed)
	}
}
