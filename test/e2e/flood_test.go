package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/core/guest"
)

const (
	// floodFor is how long the guest shouts. The channel is read at 64 KiB/s.
	floodFor = 25 * time.Second
	// floodRoom is by how much a miner's memory may grow meanwhile, in bytes.
	floodRoom = 64 << 20
)

// flood is root inside the VM: it ends the agent, so that it has the channel to itself, and shouts there and on the
// console: noise, a line that does not end, messages that look right. Each is noted when it is read. Then it lets the agent start.
const flood = `
kill -STOP "$(cat /run/hippius/guest.pid)"
killall -9 hippius-guest
for name in /sys/class/virtio-ports/*/name; do
	[ "$(cat "$name")" = %s ] && port=/dev/$(basename "$(dirname "$name")")
done
until (: > "$port") 2> /dev/null; do usleep 50000; done # it opens once, and a killed process takes some time to end
: > /var/tmp/shouted
setsid sh -c 'while :; do
	head -c 10000 /dev/urandom
	echo noise >> /var/tmp/shouted
	yes "{\"hello\":{\"version\":" | tr -d "\n" | head -c 100000
	echo line >> /var/tmp/shouted
	yes "{\"proof\":{\"height\":1,\"signature\":\"AAAA\"}}" | head -n 200
	echo words >> /var/tmp/shouted
done' > "$port" & channel=$!
setsid yes "the VM says so" > /dev/console & console=$!
sleep %d
kill -9 -"$channel" -"$console"
kill -CONT "$(cat /run/hippius/guest.pid)"
`

// A guest whose root shouts on its channel and on its console costs its miner neither memory nor a processor, and harms
// nobody but itself: without its agent it is out of its mesh and unproved, and it is in order again when the agent is back.
func (c *crashes) floods(t *testing.T) {
	before, qemu := c.ledger.now(), c.qemu(t)
	rss, cpu := c.minerCost(t)
	c.session.close()
	c.ssh(t, fmt.Sprintf("cat > /var/tmp/flood <<'END'\n%sEND\nsudo setsid sh /var/tmp/flood > /dev/null 2>&1 < /dev/null &",
		fmt.Sprintf(flood, guest.ChannelName, int(floodFor.Seconds()))))
	began, most := time.Now(), rss
	for time.Since(began) < floodFor {
		time.Sleep(time.Second)
		now, _ := c.minerCost(t)
		most = max(most, now)
	}
	took := time.Since(began)
	_, spent := c.minerCost(t)
	t.Logf("in %.0f s the miner took %.1f s of a processor, and %d MiB at most, from %d MiB", took.Seconds(), (spent - cpu).Seconds(), most>>20, rss>>20)
	if most > rss+floodRoom {
		t.Errorf("the miner's memory grew from %d to %d bytes", rss, most)
	}
	if spent-cpu > took/2 {
		t.Errorf("the miner took %s of a processor in %s", spent-cpu, took)
	}
	if said, err := c.tenant.Command(t.Context(), "vm", "logs", crashVM).Output(); err != nil || !strings.Contains(string(said), "the VM says so") {
		t.Errorf("the console shows nothing of it, only %d bytes: %v", len(said), err)
	}
	mark, last := c.ledger.mark(), c.ledger.now()
	after := c.ledger.await(t, mark, "attested again", func(e entry) bool { return e.lastAt > last.lastAt && e.lastAt > began.Add(floodFor).Unix() })
	if after.readyAt != before.readyAt || c.qemu(t) != qemu {
		t.Errorf("it is another run:\n%s", listed([]entry{before, after}))
	}
	c.session = openSession(t, c.tenant, crashVM)
	if shouted := c.ssh(t, "cat /var/tmp/shouted"); !strings.HasPrefix(shouted, "noise\nline\n") {
		t.Errorf("it shouted no more than %q: this test sees nothing", shouted)
	}
}

// minerCost is what the miner's process holds of memory, in bytes, and has used of a processor since it started.
func (c *crashes) minerCost(t *testing.T) (rss int, cpu time.Duration) {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(c.net.PID(minerProgram)))
	text, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		t.Fatal(err)
	}
	// proc(5): after the name in parentheses come the fields from the third on; 14 and 15 are ticks, 24 is pages.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	number := func(field int) int {
		n, err := strconv.Atoi(fields[field-3])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const tick = 10 * time.Millisecond
	return number(24) * os.Getpagesize(), time.Duration(number(14)+number(15)) * tick
}
