package devnet

import (
	"context"
	"path/filepath"
	"time"

	"github.com/hippius/compute/daemon/miner"
)

// What each miner of a development network offers. Two share the machine.
const (
	offerCores     = 2
	offerMemoryMiB = 6 << 10
	offerDiskGiB   = 60
)

// minerSettings are those of a miner's daemon in this network.
func (n *Net) minerSettings(ctx context.Context, m *minerHost) (miner.Config, error) {
	c := miner.Default()
	c.Name, c.Network, c.Wallet = m.name, n.Profile(), m.operator.file
	c.Data, c.Run = n.path(m.name), filepath.Join(n.set.Dir, m.name+"-run")
	c.Agent = filepath.Join(n.set.Bin, "hippius-guest")
	c.Region = "devnet"
	c.Offer = miner.Offer{Cores: offerCores, MemoryMiB: offerMemoryMiB, DiskGiB: offerDiskGiB}
	c.Taps.DNS = nil // there is no Internet behind a development network
	c.Images.AllowFile = true
	c.Timing.Poll, c.Timing.MeshEvery = 250*time.Millisecond, time.Second
	c.Driver = miner.Fake
	listen, observe := m.addr, loopback()
	if m.lab != nil {
		c.Driver = miner.Libvirt
		// Inside the lab these are libvirt's usual places.
		c.Libvirt.Tag = m.name
	} else {
		c.Timing.FakeBoot, c.Timing.ProofEvery, c.Timing.ReportEvery = 50*time.Millisecond, 200*time.Millisecond, time.Second
	}
	var err error
	if c.Listen, err = m.freeTCP(ctx, listen); err != nil {
		return c, err
	}
	c.Public = c.Listen.String()
	c.Observe, err = m.freeTCP(ctx, observe)
	return c, err
}
