package devnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/hippius/compute/daemon/miner"
	"github.com/hippius/compute/internal/netlab"
)

// minerHost is one miner's server: with libvirt a lab, else nothing but a folder.
type minerHost struct {
	name     string
	operator person
	lab      *netlab.Lab
	disk     *netlab.Disk // nil but with Config.Disks
	addr     netip.Addr
}

func (m *minerHost) close() error {
	if m.lab == nil {
		return nil
	}
	err := m.lab.Close()
	if m.disk != nil {
		err = errors.Join(err, m.disk.Close())
	}
	return err
}

// makeMiners makes each miner's account and server.
func (n *Net) makeMiners(ctx context.Context) error {
	for i := range n.set.Miners {
		m := &minerHost{name: fmt.Sprintf("miner%d", i), addr: n.addr}
		var err error
		if m.operator, err = personIn(n.set.Dir, m.name); err != nil {
			return err
		}
		n.miners = append(n.miners, m)
		if n.ethernet == nil {
			continue
		}
		if err := n.openServer(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// startMiners starts every miner's libvirtd and daemon and waits until all are registered and report.
func (n *Net) startMiners(ctx context.Context) error {
	for _, m := range n.miners {
		if m.lab != nil {
			if err := m.lab.StartLibvirt(ctx); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		c, err := n.minerSettings(ctx, m)
		if err != nil {
			return err
		}
		path, err := n.writeSettings(m.name, c)
		if err != nil {
			return err
		}
		err = n.launch(program{ //nolint:contextcheck // a program lives until Close
			name: m.name, binary: "hippius-miner", args: []string{"--config", path}, lab: m.lab,
			inside: func(ctx context.Context, log *slog.Logger) error { return miner.Run(ctx, c, log) },
		})
		if err != nil {
			return err
		}
	}
	return n.freshMiners(ctx)
}

// freeTCP is a TCP port of addr that was free just now on the miner's server.
func (m *minerHost) freeTCP(ctx context.Context, p *ports, addr netip.Addr) (port netip.AddrPort, err error) {
	if m.lab == nil {
		return p.tcp(ctx, addr)
	}
	err = m.lab.Do(func() error {
		port, err = p.tcp(ctx, addr)
		return err
	})
	return port, err
}

// Lab is the i-th miner's server; nil with the fake driver, or if there is no such miner.
func (n *Net) Lab(i int) *netlab.Lab {
	if i < 0 || i >= len(n.miners) {
		return nil
	}
	return n.miners[i].lab
}

// MinerSettings are the paths of the miners' settings files.
func (n *Net) MinerSettings() []string {
	paths := make([]string, len(n.miners))
	for i, m := range n.miners {
		paths[i] = n.path(m.name + ".yaml")
	}
	return paths
}

// Dir is the network's folder.
func (n *Net) Dir() string { return n.set.Dir }
