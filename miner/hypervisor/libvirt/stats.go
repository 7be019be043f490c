package libvirt

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// Stats implements hypervisor.Inventory.
func (d *Driver) Stats(ctx context.Context, id vm.ID) (hypervisor.Stats, error) {
	if err := hypervisor.CheckID(id); err != nil {
		return hypervisor.Stats{}, err
	}
	s, err := d.look(ctx, id)
	if err != nil {
		return hypervisor.Stats{}, fmt.Errorf("stats of vm %s: %w", id, err)
	}
	var stats hypervisor.Stats
	if d.translate(s).State.Alive() {
		stats, err = query(ctx, d.link, func(l *lv.Libvirt) (hypervisor.Stats, error) { return read(l, s) })
		if err != nil && !isInactive(err) {
			return hypervisor.Stats{}, fmt.Errorf("stats of vm %s: %w", id, err)
		}
	}
	stats.DiskAllocated = allocated(d.root(id))
	return stats, nil
}

// memoryResident is libvirt's tag for the process's resident memory, in KiB.
const memoryResident = int32(lv.DomainMemoryStatRss)

func read(l *lv.Libvirt, s domainInfo) (hypervisor.Stats, error) {
	var stats hypervisor.Stats
	_, _, _, _, cpu, err := l.DomainGetInfo(s.domain)
	if err != nil {
		return stats, err
	}
	stats.CPUTime = time.Duration(cpu) //nolint:gosec // nanoseconds: 292 years fit
	memory, err := l.DomainMemoryStats(s.domain, 16, 0)
	if err != nil {
		return stats, err
	}
	for _, m := range memory {
		if m.Tag == memoryResident {
			stats.MemoryBytes = m.Val << 10
		}
	}
	readOps, readBytes, writeOps, written, _, err := l.DomainBlockStats(s.domain, rootTarget)
	if err != nil {
		return stats, err
	}
	stats.DiskReadOps, stats.DiskReadBytes = count(readOps), count(readBytes)
	stats.DiskWriteOps, stats.DiskWritten = count(writeOps), count(written)
	if s.tap != "" {
		// libvirt already sees an ethernet interface with the guest's eyes.
		received, _, _, _, sent, _, _, _, err := l.DomainInterfaceStats(s.domain, s.tap)
		if err != nil {
			return stats, err
		}
		stats.NetReceived, stats.NetSent = count(received), count(sent)
	}
	return stats, nil
}

// count takes libvirt's way of saying that a counter is missing for 0.
func count(n int64) uint64 { return uint64(max(n, 0)) } //nolint:gosec // not negative

// allocated is what a file takes on the disk.
func allocated(path string) uint64 {
	about, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if sys, ok := about.Sys().(*syscall.Stat_t); ok {
		return uint64(sys.Blocks) * 512 //nolint:gosec // not negative
	}
	return 0
}
