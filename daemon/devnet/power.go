package devnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/hippius/compute/internal/netlab"
)

// diskBytes of a miner's own disk; the file is sparse.
const diskBytes = 64 << 30

// useDisk puts what a server keeps over a restart, the miner's data and
// libvirt's, on the server's own disk. $1 is where that is mounted, $2 the
// miner's data folder.
const useDisk = `set -eu
mkdir -p -m 711 "$1/data" "$1/etc" "$1/lib" "$1/cache"
[ -e "$1/etc/libvirtd.conf" ] || cp -a /etc/libvirt/. "$1/etc/"
sync -f "$1"
for pair in "data:$2" etc:/etc/libvirt lib:/var/lib/libvirt cache:/var/cache/libvirt; do
  mount --bind "$1/${pair%%:*}" "${pair#*:}"
done
`

// openServer makes the i-th miner's server and plugs it in.
func (n *Net) openServer(ctx context.Context, i int) (err error) {
	m := n.miners[i]
	if m.lab, err = netlab.New(ctx, n.set.Tag+"-"+m.name, netlab.Options{Libvirt: true}); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	if m.addr, err = n.ethernet.plugMiner(m.lab, i); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	if !n.set.Disks {
		return nil
	}
	if err := n.mountDisk(ctx, m); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

func (n *Net) mountDisk(ctx context.Context, m *minerHost) (err error) {
	if m.disk == nil {
		if m.disk, err = netlab.NewDisk(ctx, n.path(m.name+".disk"), diskBytes); err != nil {
			return err
		}
	} else if err := m.disk.On(); err != nil {
		return err
	}
	at, data := n.path(m.name+"-disk"), n.path(m.name)
	if err := errors.Join(os.MkdirAll(at, 0o711), os.MkdirAll(data, 0o711)); err != nil { //nolint:gosec // QEMU's user passes through
		return err
	}
	if err := m.disk.Mount(ctx, m.lab, at); err != nil {
		return err
	}
	if out, err := m.lab.Command(ctx, "bash", "-c", useDisk, "bash", at, data).CombinedOutput(); err != nil {
		return fmt.Errorf("use disk: %w: %s", err, out)
	}
	return nil
}

// CutPower is a power loss of the i-th miner's server: all its processes are
// gone at once, VMs too, its network is, and what was not synced to
// its disk. It needs Config.Disks.
func (n *Net) CutPower(i int) error {
	if i < 0 || i >= len(n.miners) || n.miners[i].disk == nil {
		return fmt.Errorf("cut power: there is no miner %d with a disk of its own", i)
	}
	m := n.miners[i]
	if r := n.find(m.name); r != nil {
		n.running = slices.DeleteFunc(n.running, func(other *running) bool { return other == r })
		n.down = append(n.down, r.program)
		defer func() { <-r.ended }()
	}
	// The end of a lab is the end of its first process, with which the kernel kills all others.
	if err := errors.Join(m.lab.Close(), m.disk.Cut(), n.ethernet.unplug(m.name)); err != nil {
		return fmt.Errorf("cut power of %s: %w", m.name, err)
	}
	return nil
}

// PowerOn starts the server again: a host fresh from boot, with its disk as
// it was when the power went, on which libvirtd and the miner start.
func (n *Net) PowerOn(ctx context.Context, i int) error {
	m := n.miners[i]
	if err := n.openServer(ctx, i); err != nil {
		return err
	}
	if err := m.lab.StartLibvirt(ctx); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	for j := range n.down {
		if n.down[j].name == m.name {
			n.down[j].lab = m.lab
		}
	}
	return n.Restart(ctx, m.name)
}

// unplug removes a port of the switch, if the kernel has not yet.
func (e *ethernet) unplug(port string) error {
	return e.hub.Do(func() error {
		link, err := netlink.LinkByName(port)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil
		}
		if err == nil {
			err = netlink.LinkDel(link)
		}
		if errors.Is(err, syscall.ENODEV) {
			return nil
		}
		return err
	})
}
