package guest

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	wire "github.com/hippius/compute/core/guest"
)

// maxProcFile bounds what is read of one file under /proc, in bytes.
const maxProcFile = 256 << 10

func (s *System) proc(name string) (string, error) {
	f, err := os.Open(s.path("proc", name))
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxProcFile))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return string(b), nil
}

// Metrics of the VM since its start.
func (s *System) Metrics() (wire.Metrics, error) {
	var out wire.Metrics
	stat, err := s.proc("stat")
	if err != nil {
		return out, err
	}
	out.CPUMilli = busyMilli(stat)
	mem, err := s.proc("meminfo")
	if err != nil {
		return out, err
	}
	total, available := memory(mem)
	out.MemoryTotalKiB, out.MemoryUsedKiB = total, total-min(available, total)
	dev, err := s.proc("net/dev")
	if err != nil {
		return out, err
	}
	out.RxBytes, out.TxBytes = traffic(dev)

	var fs unix.Statfs_t
	if err := unix.Statfs(s.path(), &fs); err != nil {
		return out, fmt.Errorf("statfs root: %w", err)
	}
	block := uint64(max(fs.Bsize, 0))
	out.RootTotalKiB = fs.Blocks * block >> 10
	out.RootUsedKiB = (fs.Blocks - min(fs.Bfree, fs.Blocks)) * block >> 10
	return out, nil
}

// busyMilli adds up the first line of /proc/stat without idle and iowait, in
// milliseconds; its unit is a hundredth of a second on every Linux.
func busyMilli(stat string) uint64 {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	var ticks uint64
	// cpu user nice system idle iowait irq softirq steal
	for i, f := range fields {
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, err := strconv.ParseUint(f, 10, 64)
		if err == nil {
			ticks += n
		}
	}
	return ticks * 10
}

// memory gives the total and what is available of /proc/meminfo, in KiB.
func memory(meminfo string) (total, available uint64) {
	for line := range strings.Lines(meminfo) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "MemTotal:":
			total = n
		case "MemAvailable:":
			available = n
		}
	}
	return total, available
}

// traffic adds up the interfaces of /proc/net/dev that lead out of the VM:
// neither loopback nor the mesh, whose bytes pass another interface anyway.
func traffic(dev string) (rx, tx uint64) {
	for line := range strings.Lines(dev) {
		name, rest, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if !ok || name == "lo" || name == TunName {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) < 9 {
			continue
		}
		r, errR := strconv.ParseUint(fields[0], 10, 64)
		t, errT := strconv.ParseUint(fields[8], 10, 64)
		if errR == nil && errT == nil {
			rx, tx = rx+r, tx+t
		}
	}
	return rx, tx
}
