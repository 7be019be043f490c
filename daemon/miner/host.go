package miner

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hostinfo"
	"github.com/hippius/compute/miner/hypervisor/fake"
	"github.com/hippius/compute/miner/hypervisor/libvirt"
	"github.com/hippius/compute/miner/network"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/seed"
)

// runBytes is the size of the tmpfs mounted for the run folder: a seed for each VM that may run at once on a host with so many cores and
// so many MiB of memory. It takes memory only for what is in it.
func runBytes(cores, memoryMiB uint64) uint64 {
	const least = 256 << 20
	vms := min(memoryMiB/plan.MinMemoryMiB, cores*node.MaxOvercommit/100)
	return max(least, vms*seed.MaxBytes)
}

// prepareRun makes the run folder, on a tmpfs. One that had to be mounted stays
// after the miner: running VMs read their seeds from it. One that was there keeps its size.
func prepareRun(dir string, needTmpfs bool, log *slog.Logger) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	if !needTmpfs {
		return nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("run folder %s: %w", dir, err)
	}
	memory, _, err := hostinfo.Memory("/")
	if err != nil {
		return fmt.Errorf("run folder %s: %w", dir, err)
	}
	size := runBytes(uint64(runtime.NumCPU()), memory) //nolint:gosec // a count of cores
	if fs.Type == unix.TMPFS_MAGIC {
		if has := fs.Blocks * uint64(fs.Bsize); has < size { //nolint:gosec // the size of a block
			log.Warn("run folder is small", "error", fmt.Errorf("the tmpfs at %s has %d MiB; seeds of as many VMs as may run here take up to %d: mount -o remount,size=%dm %s",
				dir, has>>20, size>>20, size>>20, dir))
		}
		return nil
	}
	options := fmt.Sprintf("mode=0711,size=%d", size)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("mount a tmpfs on run folder %s: %w", dir, err)
	}
	return nil
}

// groupOf gives the group of QEMU's user, who reads seeds.
func groupOf(name string) (int, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("QEMU's user: %w", err)
	}
	g, err := user.LookupGroup(name)
	if err != nil { // a distribution without a group of the same name
		return strconv.Atoi(u.Gid)
	}
	return strconv.Atoi(g.Gid)
}

// openDriver starts the hypervisor's driver of the settings.
func (m *miner) openDriver(ctx context.Context) (err error) {
	c := m.set
	if c.Driver == Fake {
		m.driver, err = fake.New(fake.Config{ //nolint:contextcheck // its VMs outlive the start
			Dir: filepath.Join(c.Data, vmsDir), Boot: c.Timing.FakeBoot, Guest: m.fakeGuest, Log: m.log,
		})
		return err
	}
	set := libvirt.DefaultConfig()
	set.Socket, set.LibvirtRunDir, set.QEMUUser = c.Libvirt.Socket, c.Libvirt.RunDir, c.Libvirt.User
	set.StateDir, set.RunDir = filepath.Join(c.Data, vmsDir), filepath.Join(c.Run, vmsDir)
	set.Tag, set.Accel, set.Log = c.Libvirt.Tag, libvirt.Accel(c.Libvirt.Accel), m.log
	m.driver, err = libvirt.New(ctx, set)
	return err
}

// openNetwork starts the network that goes with the driver.
func (m *miner) openNetwork(ctx context.Context) error {
	if m.set.Driver == Fake {
		m.network = fakeNetwork{pool: m.set.Taps.Pool}
		m.directory.open = func([]netip.AddrPort) error { return nil }
		return nil
	}
	set := network.DefaultConfig()
	set.Tag, set.Pool, set.TapUser, set.Log = m.set.Libvirt.Tag, m.set.Taps.Pool, m.set.Libvirt.User, m.log
	set.Connections = m.set.Taps.Connections
	set.LighthouseNets = m.set.Taps.LighthouseNets
	n, err := network.New(ctx, set)
	if err != nil {
		return err
	}
	m.network, m.taps = taps{network: n, set: m.set.Taps}, n
	m.directory.open = n.SetLighthouses
	m.directory.allowed.begin(n.Lighthouses(), time.Now())
	return nil
}

// guardNetwork keeps taps and their rules as they should be, whatever others do to them, until ctx ends.
func (m *miner) guardNetwork(ctx context.Context) error {
	if m.taps == nil {
		<-ctx.Done()
		return nil
	}
	return m.taps.Guard(ctx)
}

// networkStats are those of the guard; a fake network is always as it should be.
func (m *miner) networkStats() network.Stats {
	if m.taps == nil {
		return network.Stats{Verified: time.Now()}
	}
	return m.taps.Stats()
}

// taps is the network as the agent sees it.
type taps struct {
	network *network.Network
	set     TapConfig
}

// Attach implements provision.Network.
func (t taps) Attach(ctx context.Context, p provision.Port) (provision.NIC, error) {
	tap, err := t.network.Ensure(ctx, network.Attachment{VM: string(p.ID), Tenant: p.Tenant, BitsPerSec: p.BitsPerSecond})
	if err != nil {
		return provision.NIC{}, err
	}
	return provision.NIC{
		Tap: tap.Name, MAC: tap.MAC, Address: tap.Guest, Gateway: tap.Host.Addr(), DNS: t.set.DNS, MTU: t.set.MTU,
	}, nil
}

// Detach implements provision.Network.
func (t taps) Detach(ctx context.Context, id vm.ID) error {
	return t.network.Remove(ctx, string(id))
}
