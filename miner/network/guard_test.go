package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hippius/compute/internal/testkit"
)

// guard runs the network's guard until the test ends, as the daemon does.
func (w *world) guard(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.host.Do(func() error { return w.net.Guard(ctx) }) }()
	t.Cleanup(func() {
		cancel()
		testkit.Check(t, <-done)
	})
}

// repairTime is what the guard may take to repair what was taken away.
const repairTime = 5 * time.Second

// offer sends a datagram as a guest does that does not care whether its tap is up.
func (g *guest) offer(t *testing.T, from uint16, to, payload string) {
	t.Helper()
	end := netip.MustParseAddrPort(to)
	packet := ipv4Packet(unix.IPPROTO_UDP, g.tap.Guest.Addr(), end.Addr(), udp(from, end.Port(), []byte(payload)))
	if err := g.write(ethernetFrame(g.hostMAC, g.mac(), unix.ETH_P_IP, packet)); err != nil && !errors.Is(err, unix.EIO) && !errors.Is(err, unix.ENOBUFS) {
		t.Fatal(err)
	}
}

// rules are the words of ours in order, without what rules have counted and what VMs have open: the kernel keeps
// chains and elements in an order of its own.
func (w *world) rules(t *testing.T) string {
	t.Helper()
	script := "for f in inet netdev; do nft -s list table $f TABLE 2>/dev/null | sed '/set " + setConnections + " {/,/^\t}/d'; done | tr -s ' ,\t\n' '\n' | LC_ALL=C sort"
	return w.run(t, w.host, "sh", "-c", strings.ReplaceAll(script, "TABLE", w.net.table().Name))
}

// targets are what a guest must not reach: a service of its host, the host's network and another tenant's VM.
type targets struct {
	w        *world
	evil     *guest
	stranger *guest
	service  *ear
	lan      *ear
}

func newTargets(t *testing.T, w *world) targets {
	t.Helper()
	evil, stranger := w.boot(t, w.ensure(t, vmID(1), "mallory", 5e6)), w.boot(t, w.ensure(t, vmID(3), "alice", 0))
	// So that answers find back to a guest that is not masqueraded.
	testkit.Check(t, w.beyond.Route(w.cfg.Pool, netip.MustParseAddr(uplinkAddr)))
	return targets{
		w: w, evil: evil, stranger: stranger,
		service: w.ear(t, w.host, "0.0.0.0:5001"), lan: w.ear(t, w.beyond, privateAddr+":5000"),
	}
}

func (x targets) attack(t *testing.T, word string) {
	t.Helper()
	x.evil.offer(t, 1111, uplinkAddr+":5001", word)
	x.evil.offer(t, 1111, privateAddr+":5000", word)
	x.evil.offer(t, 1111, netip.AddrPortFrom(x.stranger.tap.Guest.Addr(), 22).String(), word)
}

// reached lists where a word arrived.
func (x targets) reached(word string) (where []string) {
	if _, ok := x.service.heard(word); ok {
		where = append(where, "the host's service")
	}
	if _, ok := x.lan.heard(word); ok {
		where = append(where, "the host's network")
	}
	if x.stranger.hears(word) {
		where = append(where, "another tenant")
	}
	return where
}

// refused attacks until the rules have counted it at each target, and fails if anything arrived.
func (x targets) refused(t *testing.T, word string) {
	t.Helper()
	reasons := []string{DroppedHost, DroppedPrivate, DroppedNeighbour}
	before := map[string]uint64{}
	for _, why := range reasons {
		before[why] = x.w.dropped(t, "", why)
	}
	for _, why := range reasons {
		testkit.Within(t, repairTime, "the counter of "+why, func() bool {
			x.attack(t, word)
			return x.w.dropped(t, "", why) > before[why]
		})
	}
	if where := x.reached(word); len(where) > 0 {
		t.Errorf("%q reached %s", word, strings.Join(where, " and "))
	}
}

// honest sends until it arrives, as a tap may be on its way up.
func (x targets) honest(t *testing.T, public *ear, word string) {
	t.Helper()
	testkit.Within(t, repairTime, "the honest datagram", func() bool {
		x.evil.offer(t, 2222, publicAddr+":5000", word)
		from, ok := public.heard(word)
		if ok && from.Addr().String() != uplinkAddr {
			t.Fatalf("it came from %s, want it masqueraded as %s", from, uplinkAddr)
		}
		return ok
	})
}

// Someone flushes all rules of the host. A guest that reaches what it must not is cut off within five seconds, also on
// flows that it opened meanwhile, and the rules are back.
func TestRulesAreFlushed(t *testing.T) {
	w := newWorld(t)
	x := newTargets(t, w)
	public := w.ear(t, w.beyond, publicAddr+":5000")
	light := netip.MustParseAddrPort(privateAddr + ":4242")
	testkit.Check(t, w.host.Do(func() error { return w.net.SetLighthouses([]netip.AddrPort{light}) }))
	x.refused(t, "before")
	whole := w.rules(t)

	// Without a guard the way is open, and flows are opened both ways. They are remembered, as another firewall of the
	// host's tracks them.
	w.run(t, w.host, "nft", "add table inet own; add chain inet own c { type filter hook prerouting priority 0; }; add rule inet own c ct state new counter")
	w.run(t, w.host, "nft", fmt.Sprintf("delete table inet %[1]s; delete table netdev %[1]s", w.net.table().Name))
	testkit.Until(t, "all three targets", func() bool {
		x.attack(t, "meanwhile")
		return len(x.reached("meanwhile")) == 3
	})
	from, _ := x.lan.heard("meanwhile")
	x.lan.say(t, from, "the lan answers")
	from, _ = x.service.heard("meanwhile")
	x.service.say(t, from, "the host answers")
	testkit.Until(t, "the answers", func() bool { return x.evil.hears("the lan answers") && x.evil.hears("the host answers") })
	w.guard(t)
	testkit.Within(t, repairTime, "the rules", func() bool { return w.rules(t) == whole })
	x.refused(t, "after")
	x.honest(t, public, "honest")

	// With it, while a guest sends all the time.
	for round := range 3 {
		w.run(t, w.host, "nft", "flush", "ruleset")
		end := time.Now().Add(5 * time.Second)
		for repaired := false; !repaired; repaired = w.rules(t) == whole {
			if time.Now().After(end) {
				t.Fatal("waited 5 s in vain for the rules")
			}
			x.attack(t, "flood")
		}
		x.refused(t, fmt.Sprintf("after round %d", round))
		x.honest(t, public, fmt.Sprintf("honest in round %d", round))
	}
	if s := w.net.Stats(); s.Repairs < 4 || time.Since(s.Verified) > 5*time.Second {
		t.Errorf("after four repairs the stats are %+v", s)
	}
}

// wasDown notes which interfaces were seen down.
type wasDown struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (w *world) watchDown(t *testing.T) *wasDown {
	t.Helper()
	d := &wasDown{seen: map[string]bool{}}
	updates, done := make(chan netlink.LinkUpdate), make(chan struct{})
	testkit.Check(t, w.host.Do(func() error { return netlink.LinkSubscribe(updates, done) }))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for u := range updates {
			if u.Flags&unix.IFF_UP == 0 {
				d.mu.Lock()
				d.seen[u.Attrs().Name] = true
				d.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		close(done)
		<-ended
	})
	return d
}

// take gives whether an interface was seen down since it was last asked.
func (d *wasDown) take(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.seen[name]
	delete(d.seen, name)
	return was
}

// alterations are what others may do to the state, by what the log is to name. TAP, PEER and TABLE stand for names.
// Those that may let packets pass must be repaired while the tap is down.
func alterations() map[string]struct {
	script, named string
	open          bool
} {
	type a = struct {
		script, named string
		open          bool
	}
	return map[string]a{
		"all rules":               {"nft flush ruleset", "table TABLE is missing", true},
		"table of all":            {"nft delete table inet TABLE", "table TABLE is missing", true},
		"table of taps":           {"nft delete table netdev TABLE", "chain at_TAP is missing", true},
		"table of all off":        {"nft add table inet TABLE '{ flags dormant; }'", "table TABLE is missing or off", true},
		"table of taps off":       {"nft add table netdev TABLE '{ flags dormant; }'", "chain at_TAP is missing", true},
		"chain":                   {"nft delete chain inet TABLE arriving", "chain arriving is missing", true},
		"chain of a tap":          {"nft delete chain netdev TABLE at_TAP", "TAP: chain at_TAP is missing", true},
		"chain's rules":           {"nft flush chain inet TABLE from_machine", "rules of chain from_machine", true},
		"masquerading":            {"nft flush chain inet TABLE leaving", "rules of chain leaving", true},
		"anti-spoofing":           {"nft flush chain netdev TABLE at_TAP", "TAP: rules of chain at_TAP", true},
		"policy":                  {"nft chain netdev TABLE at_TAP '{ policy accept; }'", "TAP: chain at_TAP is hooked otherwise", true},
		"one rule":                {"nft delete rule inet TABLE arriving handle $(nft -a list chain inet TABLE arriving | sed -n 's/.*to this host.*handle //p')", "rules of chain arriving", true},
		"one rule of a tap":       {"nft delete rule netdev TABLE at_TAP handle $(nft -a list chain netdev TABLE at_TAP | sed -n 's/.*ether saddr.*handle //p')", "rules of chain at_TAP", true},
		"a rule more":             {"nft insert rule inet TABLE from_machine accept", "rules of chain from_machine", true},
		"a rule replaced":         {"nft replace rule inet TABLE to_machine handle $(nft -a list chain inet TABLE to_machine | sed -n 's/.*unasked.*handle //p') counter accept", "rules of chain to_machine", true},
		"a set of another kind":   {"nft 'delete table inet TABLE; add table inet TABLE; add set inet TABLE private_nets { typeof vlan id; }'", "set private_nets is of another kind", true},
		"private networks":        {"nft flush set inet TABLE private_nets", "set private_nets", true},
		"one private network":     {"nft delete element inet TABLE private_nets '{ 10.0.0.0/8 }'", "set private_nets", true},
		"lighthouses":             {"nft flush set inet TABLE lighthouse_ends", "set lighthouse_ends", true},
		"a lighthouse more":       {"nft add element inet TABLE lighthouse_ends '{ 192.168.0.9 . 53 }'", "set lighthouse_ends", true},
		"tenants' marks":          {"nft flush map inet TABLE tenant_of_tap", "set tenant_of_tap", true},
		"tenants' neighbours":     {"nft flush set inet TABLE tap_of_tenant", "set tap_of_tenant", true},
		"a neighbour more":        {"nft add element inet TABLE tap_of_tenant '{ 1 . \"PEER\" }'", "set tap_of_tenant", true},
		"bridge":                  {"ip link del br0 2>/dev/null || true; ip link add br0 type bridge; ip link set TAP master br0", "TAP: it is in a bridge", true},
		"forwarding":              {"echo 0 >/proc/sys/net/ipv4/ip_forward", "IPv4 forwarding is off", false},
		"forwarding of a tap":     {"echo 0 >/proc/sys/net/ipv4/conf/TAP/forwarding", "TAP: /proc/sys/net/ipv4/conf/TAP/forwarding is not 1", false},
		"IPv6":                    {"echo 0 >/proc/sys/net/ipv6/conf/TAP/disable_ipv6", "TAP: /proc/sys/net/ipv6/conf/TAP/disable_ipv6 is not 1", false},
		"cap":                     {"tc qdisc del dev TAP root", "TAP: its cap is 0 bytes", false},
		"cap of another rate":     {"tc qdisc replace dev TAP root handle 1: tbf rate 1gbit burst 1mb limit 1mb", "TAP: its cap is 125000000 bytes", false},
		"route":                   {"ip route del $(ip route show dev TAP | cut -d' ' -f1) dev TAP", "TAP: its route is missing", false},
		"route to the host's end": {"ip route del table local local $(ip -4 -o addr show dev TAP | sed 's/.*inet \\([0-9.]*\\).*/\\1/') dev TAP", "TAP: its route is missing", false},
		"address":                 {"ip addr flush dev TAP", "TAP: its address is missing", false},
		"alias":                   {"ip link set dev TAP alias nobody", "TAP: its alias is altered", false},
		"alias that is another's": {"ip link set dev TAP alias \"$(ip link show dev PEER | sed -n 's/.*alias //p')\"", "TAP: its alias is altered", false},
		"switch":                  {"ip link set TAP down", "TAP: it is switched off", false},
	}
}

// state is all that a network sets, and whether a tap is on.
func (w *world) state(t *testing.T, tap string) string {
	t.Helper()
	script := strings.ReplaceAll(`ip -o link show dev TAP | sed 's/qlen.*link/link/'; ip -o -4 addr show dev TAP; ip -4 route show table all dev TAP
		tc qdisc show dev TAP; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/TAP/forwarding /proc/sys/net/ipv6/conf/TAP/disable_ipv6`, "TAP", tap)
	return w.rules(t) + w.run(t, w.host, "sh", "-c", script)
}

// lines of one text that another does not have.
func lines(of, without string) (only []string) {
	for line := range strings.Lines(of) {
		if !strings.Contains(without, line) {
			only = append(only, line)
		}
	}
	return only
}

// safeLog is a log that tests read while it is written.
type safeLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Each part of the state is altered in turn, and found and repaired by the guard, and where there is none by Ensure.
func TestAlterationsAreRepaired(t *testing.T) {
	for _, by := range []string{"guard", "ensure"} {
		t.Run(by, func(t *testing.T) {
			w := newWorld(t)
			out := &safeLog{}
			w.cfg.Log = slog.New(slog.NewTextHandler(out, nil))
			w.open(t)
			x := newTargets(t, w)
			down := w.watchDown(t)
			testkit.Check(t, w.host.Do(func() error {
				return w.net.SetLighthouses([]netip.AddrPort{netip.MustParseAddrPort(privateAddr + ":4242")})
			}))
			if by == "guard" {
				w.guard(t)
			}
			tap := x.evil.tap.Name
			whole := w.state(t, tap)
			names := strings.NewReplacer("TAP", tap, "PEER", x.stranger.tap.Name, "TABLE", w.net.table().Name)
			for what, a := range alterations() {
				// Ensure sets the cap anew in any case: libvirt alters it when it opens a tap.
				silent := by == "ensure" && strings.HasPrefix(what, "cap")
				t.Run(what, func(t *testing.T) {
					repairs, logged := w.net.Stats().Repairs, len(out.String())
					down.take(tap)
					w.run(t, w.host, "sh", "-ec", names.Replace(a.script))
					var now string
					defer func() {
						if now != whole {
							t.Errorf("the state lacks %q and has %q", lines(whole, now), lines(now, whole))
						}
					}()
					testkit.Within(t, repairTime, "the repair", func() bool {
						if by == "ensure" {
							w.forgetVerified()
							w.ensure(t, x.evil.tap.VM, "mallory", 5e6)
						}
						now = w.state(t, tap)
						return (silent || w.net.Stats().Repairs > repairs) && now == whole
					})
					if said, want := out.String()[logged:], names.Replace(a.named); !silent && !strings.Contains(said, want) {
						t.Errorf("the log does not name %q: %s", want, said)
					}
					if was := down.take(tap); a.open && !was {
						t.Error("the tap was not taken down")
					}
				})
			}
			x.refused(t, "after all")
			public := w.ear(t, w.beyond, publicAddr+":5000")
			x.honest(t, public, "honest after all")
		})
	}
}

// forgetVerified has the next Ensure look at everything.
func (w *world) forgetVerified() {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	w.net.verifiedAt = time.Time{}
}

// A tap whose rules cannot be restored stays down, and other taps serve on.
func TestStaysDownUntilRestored(t *testing.T) {
	w := newWorld(t)
	x := newTargets(t, w)
	public := w.ear(t, w.beyond, publicAddr+":5000")
	whole := w.state(t, x.evil.tap.Name)
	w.guard(t)
	// Our chain cannot be deleted while another jumps to it, and as it is it is not hooked.
	in := strings.NewReplacer("TABLE", w.net.table().Name, "TAP", x.evil.tap.Name)
	w.run(t, w.host, "nft", in.Replace(`delete chain netdev TABLE at_TAP; add chain netdev TABLE at_TAP;
		add chain netdev TABLE other { type filter hook ingress device "TAP" priority 1; }; add rule netdev TABLE other jump at_TAP`))
	isUp := func(g *guest) bool {
		return w.run(t, w.host, "ip", "-o", "link", "show", "up", "dev", g.tap.Name) != ""
	}
	testkit.Within(t, repairTime, "the tap to go down", func() bool { return !isUp(x.evil) })
	last := w.net.Stats()
	err := w.host.Do(func() error {
		_, err := w.net.Ensure(t.Context(), Attachment{VM: x.evil.tap.VM, Tenant: "mallory", BitsPerSec: 5e6})
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "chain at_"+x.evil.tap.Name) {
		t.Errorf("Ensure of a tap whose rules cannot be restored: %v", err)
	}
	w.ensure(t, x.stranger.tap.VM, "alice", 0)
	x.stranger.send(t, 2222, publicAddr+":5000", "on another tap")
	testkit.Until(t, "the datagram", func() bool { _, ok := public.heard("on another tap"); return ok })
	if isUp(x.evil) {
		t.Error("the tap is up without its rules")
	}
	if now := w.net.Stats(); now != last {
		t.Errorf("nothing was restored, and the stats went from %+v to %+v", last, now)
	}
	w.run(t, w.host, "nft", in.Replace("flush chain netdev TABLE other; delete chain netdev TABLE other"))
	testkit.Within(t, repairTime, "the repair", func() bool { return w.state(t, x.evil.tap.Name) == whole })
	x.honest(t, public, "restored")
}

// While nothing can be known of the rules, no tap is up; afterwards all are.
func TestDownWhileUnread(t *testing.T) {
	w := newWorld(t)
	x := newTargets(t, w)
	whole := w.state(t, x.evil.tap.Name)
	look := func(f func(context.Context) ([]attached, []defect, error)) {
		w.net.mu.Lock()
		defer w.net.mu.Unlock()
		w.net.look = f
	}
	var looks atomic.Int32
	look(func(context.Context) ([]attached, []defect, error) {
		looks.Add(1)
		return nil, nil, unix.ENOBUFS
	})
	w.guard(t)
	up := func() string { return w.run(t, w.host, "ip", "-o", "link", "show", "up") }
	testkit.Within(t, repairTime, "the taps to go down", func() bool { return !strings.Contains(up(), w.net.prefix()) })
	if n := looks.Load(); n < unreadable {
		t.Errorf("they went down after %d looks, want %d", n, unreadable)
	}
	look(w.net.verify)
	testkit.Within(t, repairTime, "the taps to come up", func() bool { return w.state(t, x.evil.tap.Name) == whole })
	x.refused(t, "afterwards")
}

// A tap that others delete is gone with all that mentions it, and those that it had for neighbours serve on.
func TestTapIsDeletedByOthers(t *testing.T) {
	w := newWorld(t)
	x := newTargets(t, w)
	w.guard(t)
	w.run(t, w.host, "ip", "link", "del", x.evil.tap.Name)
	testkit.Within(t, repairTime, "its traces to go", func() bool { return !strings.Contains(w.rules(t), x.evil.tap.Name) })
	if s := w.net.Stats(); s.Repairs != 0 {
		t.Errorf("%d repairs of a tap that is gone", s.Repairs)
	}
	if tap := w.ensure(t, x.evil.tap.VM, "mallory", 5e6); tap != x.evil.tap {
		t.Errorf("made anew it is %+v, was %+v", tap, x.evil.tap)
	}
}
