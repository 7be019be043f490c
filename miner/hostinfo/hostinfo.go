// Package hostinfo measures the host a miner runs on, and decides what of it
// may be offered: what a miner registers is what was found, not what was
// written into a file.
package hostinfo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Info is what was found.
type Info struct {
	Cores uint32
	// MemoryMiB in all, and AvailableMiB without swapping.
	MemoryMiB    uint64
	AvailableMiB uint64
	// DiskFreeGiB where VMs' disks go, DiskTotalGiB of that filesystem.
	DiskFreeGiB  uint64
	DiskTotalGiB uint64
	// DiskWriteBytesPerSecond, sequential and durable.
	DiskWriteBytesPerSecond uint64
	// Arch as images name it: "amd64", "arm64".
	Arch     string
	CPUModel string
	// CPUFlags as /proc/cpuinfo has them, of the first core.
	CPUFlags []string
}

// HasFlag tells whether the CPU has a flag.
func (i Info) HasFlag(flag string) bool {
	return slices.Contains(i.CPUFlags, flag)
}

// Config of a measurement.
type Config struct {
	// Root is "/", or another folder in tests.
	Root string
	// DiskDir is where VMs' disks go. It must exist.
	DiskDir string
	// SampleBytes are written to measure the disk; 0 means 16 MiB, at most 1 GiB.
	SampleBytes uint64
}

const (
	defaultSample = 16 << 20
	maxSample     = 1 << 30
	maxProcFile   = 8 << 20
	kibPerMib     = 1 << 10
	gib           = 1 << 30
)

// Measure looks at the host. It writes and removes one file of SampleBytes.
func Measure(ctx context.Context, c Config) (Info, error) {
	if c.SampleBytes == 0 {
		c.SampleBytes = defaultSample
	}
	if c.SampleBytes > maxSample {
		return Info{}, fmt.Errorf("measure disk with %d bytes: at most %d", c.SampleBytes, maxSample)
	}
	info := Info{Cores: uint32(runtime.NumCPU()), Arch: runtime.GOARCH} //nolint:gosec // a count of cores
	var err error
	if info.MemoryMiB, info.AvailableMiB, err = Memory(c.Root); err != nil {
		return Info{}, err
	}
	cpu, err := readProc(c.Root, "cpuinfo")
	if err != nil {
		return Info{}, fmt.Errorf("measure CPU: %w", err)
	}
	info.CPUModel, info.CPUFlags = processor(cpu)
	var fs unix.Statfs_t
	if err := unix.Statfs(c.DiskDir, &fs); err != nil {
		return Info{}, fmt.Errorf("measure disk of %s: %w", c.DiskDir, err)
	}
	block := uint64(max(fs.Bsize, 0))
	info.DiskFreeGiB, info.DiskTotalGiB = fs.Bavail*block/gib, fs.Blocks*block/gib
	info.DiskWriteBytesPerSecond, err = writeSpeed(ctx, c.DiskDir, c.SampleBytes)
	if err != nil {
		return Info{}, fmt.Errorf("measure disk of %s: %w", c.DiskDir, err)
	}
	return info, nil
}

// Memory gives what there is in all and what is available without swapping, in MiB.
func Memory(root string) (total, available uint64, err error) {
	mem, err := readProc(root, "meminfo")
	if err != nil {
		return 0, 0, fmt.Errorf("measure memory: %w", err)
	}
	if total, available = memory(mem); total == 0 {
		return 0, 0, errors.New("measure memory: /proc/meminfo tells no MemTotal")
	}
	return total, available, nil
}

func readProc(root, name string) (string, error) {
	f, err := os.Open(filepath.Join(root, "proc", name))
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxProcFile))
	return string(b), err
}

// memory gives total and available MiB. The hypervisor's own node info is not
// asked: inside containers it tells of another host.
func memory(meminfo string) (total, available uint64) {
	for line := range strings.Lines(meminfo) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "MemTotal:":
			total = kib / kibPerMib
		case "MemAvailable:":
			available = kib / kibPerMib
		}
	}
	return total, available
}

// maxModel bounds the CPU's name, as the chain does, in bytes.
const maxModel = 64

func processor(cpuinfo string) (model string, flags []string) {
	for line := range strings.Lines(cpuinfo) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		switch strings.TrimSpace(key) {
		case "model name":
			if model == "" {
				model = printable(value)
			}
		case "flags", "Features":
			if flags == nil {
				flags = strings.Fields(value)
			}
		}
	}
	if model == "" {
		model = "unknown"
	}
	return model, flags
}

func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), maxModel)]
}
