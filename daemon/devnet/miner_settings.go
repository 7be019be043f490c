package devnet

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/daemon/miner"
)

// What each miner of a development network offers. Two share the host.
const (
	offerCores     = 2
	offerMemoryMiB = 6 << 10
	// maxOfferGiB of disk, or what is free: overlays are thin, so the miners may promise the same room.
	maxOfferGiB = 60
	minOfferGiB = 20
)

// diskOffer is what each miner offers of the disk that dir is on.
func diskOffer(dir string) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("free space in %s: %w", dir, err)
	}
	free := fs.Bavail * uint64(fs.Bsize) >> 30 //nolint:gosec // a block size is not negative
	if free < minOfferGiB {
		return 0, fmt.Errorf("%s has %d GiB free; the network needs at least %d", dir, free, minOfferGiB)
	}
	return min(free*9/10, maxOfferGiB), nil
}

// minerSettings are those of a miner's daemon in this network.
func (n *Net) minerSettings(ctx context.Context, m *minerHost) (miner.Config, error) {
	c := miner.Default()
	c.Name, c.Network, c.Wallet = m.name, n.Profile(), m.operator.file
	// sockets lie in the run folder, and their paths must be short
	c.Data, c.Run = n.path(m.name), filepath.Join(n.set.Dir, "r"+strings.TrimPrefix(m.name, "miner"))
	c.Agent = filepath.Join(n.set.Bin, "hippius-guest")
	c.Region = "devnet"
	c.Offer = miner.Offer{Cores: offerCores, MemoryMiB: offerMemoryMiB, DiskGiB: maxOfferGiB}
	c.Taps.DNS = nil // there is no Internet behind a development network
	c.Images.AllowFile = true
	c.Timing.Poll, c.Timing.MeshEvery = 250*time.Millisecond, time.Second
	c.Driver = miner.Fake
	listen, observe := m.addr, loopback()
	var err error
	if m.lab != nil {
		c.Driver = miner.Libvirt
		if c.Offer.DiskGiB, err = diskOffer(n.set.Dir); err != nil {
			return c, err
		}
		// Inside the lab these are libvirt's usual places.
		c.Libvirt.Tag = m.name
		c.Taps.LighthouseNets = []netip.Prefix{netip.PrefixFrom(n.addr, n.addr.BitLen())}
	} else {
		if n.set.Offer != (miner.Offer{}) {
			c.Offer = n.set.Offer
		}
		c.Timing.FakeBoot, c.Timing.ProofEvery, c.Timing.ReportEvery = 50*time.Millisecond, 200*time.Millisecond, time.Second
	}
	if c.Listen, err = m.freeTCP(ctx, n.ports, listen); err != nil {
		return c, err
	}
	c.Public = c.Listen.String()
	if c.Observe, err = m.freeTCP(ctx, n.ports, observe); err != nil {
		return c, err
	}
	if n.set.Miner != nil {
		n.set.Miner(&c)
	}
	return c, nil
}
