// Package limits tries what a VM was sold: two real VMs side by side,
// one with the limits of a plan and one without any, each worked as hard as it
// can be from inside. Whatever is asserted is a limit, never a speed: a busy
// host makes everything slower, and nothing may be faster than its limit.
package limits

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/hypervisor"
)

// What the limited VM is allowed.
const (
	iops      = 500
	diskBytes = 40e6 // a second
	netBits   = 20e6 // a second, each way
	cpu       = 25   // percent of a core
)

// full runs everything, three times; `make limits` does. Otherwise only what is
// quick, and once.
func full() bool { return os.Getenv("HIPPIUS_LIMITS") == "full" }

// rounds of each measurement, limited and unlimited in turn.
func rounds() int {
	if full() {
		return 3
	}
	return 1
}

func TestLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector sees nothing of VMs; runs in make test")
	}
	h := newHost(t)
	limited := h.start("limited", hypervisor.Limits{IOPS: iops, DiskBytesPerSec: diskBytes, NetworkBitsPerSec: netBits, CPUPercent: cpu})
	quota := limited.quota(t)
	if want := strconv.Itoa(cpu * 1000); quota != want { // of 100 000 µs
		t.Errorf("libvirt gives the VM %s µs of each 100 000; want %s", quota, want)
	}
	limited.setQuota(t, "-1") // so that it boots in seconds, and only what is measured limits
	free := h.start("free", hypervisor.Limits{})
	limited.reach()
	free.reach()

	t.Run("Requests", func(t *testing.T) {
		got, most := inTurn(t, limited, free, "requests /var/tmp/work 2", 2*iops)
		atMost(t, "requests a second", got, 1.1*iops)
		atLeast(t, "requests a second without a limit", most, 2*iops)
	})
	t.Run("DiskBytes", func(t *testing.T) {
		got, most := inTurn(t, limited, free, "stream /var/tmp/work 2", 2*diskBytes)
		atMost(t, "bytes a second", got, 1.1*diskBytes)
		atLeast(t, "bytes a second without a limit", most, 2*diskBytes)
	})
	t.Run("Bandwidth", func(t *testing.T) { bandwidth(t, h, limited, free) })
	t.Run("Memory", func(t *testing.T) { memory(t, limited, free) })
	t.Run("DiskSize", func(t *testing.T) { diskSize(t, h, limited) })
	if !full() {
		t.Log("not tried: CPU, connections, console; `make limits` does")
		return
	}
	t.Run("CPU", func(t *testing.T) {
		limited.setQuota(t, quota)
		defer limited.setQuota(t, "-1")
		cpuTime(t, limited, free)
	})
	t.Run("Connections", func(t *testing.T) { openConnections(t, h, limited, free) })
	t.Run("Console", func(t *testing.T) { console(t, h, limited) })
}

// inTurn measures both VMs a few times, one after the other, and gives the
// most that each got: noise only lowers it. While the free one has got less than
// want the host is too busy to tell, and they try again.
func inTurn(t *testing.T, limited, free *guestVM, load string, want float64) (most, mostFree float64) {
	t.Helper()
	var a, b []float64
	for i := 0; i < rounds() || i < attempts && slices.Max(b) < want; i++ {
		a, b = append(a, limited.load(t, load)), append(b, free.load(t, load))
	}
	t.Logf("%s: %.0f limited, %.0f not (medians of %d)", strings.Fields(load)[0], median(a), median(b), len(a))
	return slices.Max(a), slices.Max(b)
}

// attempts is the most measurements of one load.
const attempts = 8

func median(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }

func atMost(t *testing.T, what string, got, limit float64) {
	t.Helper()
	if got > limit {
		t.Errorf("%s: %.0f, at most %.0f are allowed", what, got, limit)
	}
}

func atLeast(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got < want {
		t.Errorf("%s: %.0f; under %.0f the limit was not what held the other back", what, got, want)
	}
}

// bandwidth moves bytes between the VMs and a server beyond the uplink.
// Whoever receives counts, from the third second on: a second's worth may leave
// a VM at once.
func bandwidth(t *testing.T, h *host, limited, free *guestVM) {
	t.Helper()
	var source, sink string
	var sunk atomic.Int64
	listen(t, h, func(conn net.Conn) { pour(conn) }, &source)
	listen(t, h, func(conn net.Conn) { swallow(conn, &sunk) }, &sink)
	measure := map[string]func(m *guestVM) float64{
		"receive": func(m *guestVM) float64 { return 8 * m.load(t, "receive "+source+" 3") },
		"send": func(m *guestVM) float64 {
			m.load(t, "send "+sink+" 3")
			return 8 * float64(sunk.Swap(0)) / countFor.Seconds()
		},
	}
	for way, rate := range measure {
		var got, most []float64
		for i := 0; i < rounds() || i < attempts && slices.Max(most) < 2*netBits; i++ {
			got, most = append(got, rate(limited)), append(most, rate(free))
		}
		t.Logf("%s: %.1f Mbit/s limited, %.1f not (medians)", way, median(got)/1e6, median(most)/1e6)
		atMost(t, way+": bits a second", slices.Max(got), 1.1*netBits)
		atLeast(t, way+": bits a second without a limit", slices.Max(most), 2*netBits)
		if best := slices.Max(got); best < 0.9*netBits {
			t.Errorf("%s: %.1f Mbit/s at best, of %.1f that were sold", way, best/1e6, netBits/1e6)
		}
	}
}

func pour(conn net.Conn) {
	for buf := make([]byte, 64<<10); ; {
		if _, err := conn.Write(buf); err != nil {
			return
		}
	}
}

const countFrom, countFor = 2 * time.Second, 3 * time.Second

func swallow(conn net.Conn, into *atomic.Int64) {
	begun, buf := time.Now(), make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if at := time.Since(begun); at > countFrom && at < countFrom+countFor {
			into.Add(int64(n))
		}
		if err != nil {
			return
		}
	}
}

// listen serves connections beyond the uplink until the test ends.
func listen(t *testing.T, h *host, serve func(net.Conn), addr *string) {
	t.Helper()
	var l net.Listener
	testkit.Check(t, h.beyond.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "tcp", publicAddr+":0")
		return err
	}))
	t.Cleanup(func() { _ = l.Close() })
	*addr = l.Addr().String()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			}()
		}
	}()
}

// cpuTime runs a fixed loop. On a host with other work the free VM has no
// core to itself either: what it had is the measure.
func cpuTime(t *testing.T, limited, free *guestVM) {
	t.Helper()
	const loop = "spin 150000000"
	share := func(m *guestVM) (ms, share float64) {
		_, before := m.info(t)
		begun := time.Now()
		ms = m.load(t, loop)
		_, after := m.info(t)
		return ms, float64(after.CPUTime-before.CPUTime) / float64(time.Since(begun))
	}
	var slow, fast, shares, freeShares []float64
	for range rounds() {
		ms, part := share(limited)
		slow, shares = append(slow, ms), append(shares, part)
		ms, part = share(free)
		fast, freeShares = append(fast, ms), append(freeShares, part)
	}
	ratio := median(slow) / median(fast)
	t.Logf("loop: %.0f ms limited at %.2f of a core, %.0f ms with %.2f; %.1f times as long", median(slow), median(shares), median(fast), median(freeShares), ratio)
	if want := 3 * min(1, median(freeShares)); ratio < want {
		t.Errorf("the loop takes %.1f times as long with %d %% of a core; at least %.1f were to be", ratio, cpu, want)
	}
}

// quota is what the driver gave a VM's CPUs, and setQuota changes it while it runs.
func (m *guestVM) quota(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(m.virsh(t, "schedinfo", "--live")) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "vcpu_quota" {
			return strings.TrimSpace(value)
		}
	}
	t.Fatal("libvirt tells no quota")
	return ""
}

func (m *guestVM) setQuota(t *testing.T, quota string) {
	t.Helper()
	m.virsh(t, "schedinfo", "--live", "vcpu_quota="+quota)
}

// openConnections has both VMs open more than they may.
func openConnections(t *testing.T, h *host, limited, free *guestVM) {
	t.Helper()
	var addr string
	listen(t, h, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, &addr)
	made := make(chan float64, 1)
	go func() { made <- limited.load(t, fmt.Sprintf("connect %s %d", addr, 4*connections)) }()
	time.Sleep(2 * time.Second)
	if n := free.load(t, fmt.Sprintf("connect %s %d", addr, connections/2)); n != connections/2 {
		t.Errorf("beside a VM with all its connections open another made %.0f of %d", n, connections/2)
	}
	n := <-made
	t.Logf("connections: %.0f of %d tried, limit %d", n, 4*connections, connections)
	atMost(t, "open connections", n, 1.1*connections) // the kernel counts in passing
	if n == 0 {
		t.Error("none was made")
	}
}

// memory has a guest fill its own: its kernel kills the program, and that is all.
func memory(t *testing.T, limited, free *guestVM) {
	t.Helper()
	before, _ := limited.info(t)
	neighbour, _ := free.info(t)
	if out, err := limited.try("sudo /run/hippius/cd/load memory"); err == nil {
		t.Errorf("a program took %s MiB in a VM of %d and was not killed", out, limited.MemoryMiB)
	}
	if _, err := limited.try("true"); err != nil {
		t.Errorf("the VM whose memory was filled: %v", err)
	}
	if _, err := free.try("true"); err != nil {
		t.Errorf("its neighbour: %v", err)
	}
	after, stats := limited.info(t)
	if after.PID != before.PID || after.State != hypervisor.StateRunning {
		t.Errorf("it was process %d and is %d, %s", before.PID, after.PID, after.State)
	}
	if now, _ := free.info(t); now.PID != neighbour.PID || now.State != hypervisor.StateRunning {
		t.Errorf("its neighbour was process %d and is %d, %s", neighbour.PID, now.PID, now.State)
	}
	host, err := limited.h.driver.Host(t.Context())
	testkit.Check(t, err)
	most := float64(limited.MemoryMiB + host.OverheadMiB)
	t.Logf("memory: the host's process holds %d MiB for a guest of %d; at most %.0f", stats.MemoryBytes>>20, limited.MemoryMiB, most)
	atMost(t, "MiB of the host's memory", float64(stats.MemoryBytes>>20), most)
}

// diskMetadata is what a full disk's file takes beyond the disk's size: LUKS
// header, qcow2's tables, an eighth of a percent, and what rounding takes.
const diskMetadata = 8 << 20

// diskSize fills a VM's disk to the last block and tries to go on.
func diskSize(t *testing.T, h *host, m *guestVM) {
	t.Helper()
	filled := m.load(t, "fill /var/tmp/filler")
	if past := m.load(t, "beyond /dev/vda"); past != 0 {
		t.Errorf("%.0f bytes were written past the disk's end", past)
	}
	about, err := os.Stat(filepath.Join(h.cfg.StateDir, "disks", string(m.ID), "root.qcow2"))
	testkit.Check(t, err)
	_, stats := m.info(t)
	t.Logf("disk: the guest wrote %.0f MiB, the host's file has %d of %d MiB, allocated %d", filled/(1<<20), about.Size()>>20, m.DiskBytes>>20, stats.DiskAllocated>>20)
	atMost(t, "bytes of the host's file", float64(max(about.Size(), int64(stats.DiskAllocated))), float64(m.DiskBytes+diskMetadata)) //nolint:gosec // small
	if filled < 32<<20 {
		t.Errorf("the guest wrote only %.0f bytes", filled)
	}
	_, err = m.try("sudo rm /var/tmp/filler")
	testkit.Check(t, err)
}

// logMost is what virtlogd keeps of one console, with Debian's settings: the
// log and three older ones, 2 MiB each.
const logMost = 4*2<<20 + 64<<10

// console floods the serial line for a while.
func console(t *testing.T, h *host, m *guestVM) {
	t.Helper()
	said := 0.0
	for end := time.Now().Add(time.Minute); said < 10<<20 && time.Now().Before(end); {
		said += m.load(t, "console 5")
	}
	files, err := filepath.Glob(filepath.Join(h.cfg.StateDir, "machines", string(m.ID), "console.log*"))
	testkit.Check(t, err)
	kept := int64(0)
	for _, f := range files {
		about, err := os.Stat(f)
		testkit.Check(t, err)
		kept += about.Size()
	}
	tail, err := h.driver.ConsoleLog(t.Context(), m.ID)
	testkit.Check(t, err)
	t.Logf("console: %.1f MiB said, %.1f kept in %d files, %d bytes shown", said/(1<<20), float64(kept)/(1<<20), len(files), len(tail))
	atMost(t, "bytes of console kept", float64(kept), logMost)
	atMost(t, "bytes of console shown", float64(len(tail)), hypervisor.ConsoleLogBytes)
}
