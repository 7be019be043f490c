package miner

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/miner/hostinfo"
)

const (
	// Registration is tried again after this long, doubling up to the second.
	registerPause, maxRegisterPause = time.Second, time.Minute
	gib                             = 1 << 30
)

var (
	errNotRegistered = errors.New("not registered yet")
	errLeaving       = errors.New("the miner is leaving")
)

// register makes the chain say what was measured and set, until it does. A
// refusal is no reason to end: the VMs here are reported all the same.
func (m *miner) register(ctx context.Context) error {
	untilSettled(ctx, func() error {
		err := m.registerOnce(ctx)
		m.registered.Store(&err)
		if err != nil && ctx.Err() == nil {
			m.log.Warn("register miner", "error", err)
		}
		return err
	})
	if ctx.Err() == nil {
		m.chain.WarnVersion(ctx, m.log)
		m.watchStatus(ctx)
	}
	return nil
}

// untilSettled tries, with growing pauses, until it is done, the miner turns out to be leaving or ctx ends. One that leaves
// is left alone: its operator would find the bond that came back bonded anew.
func untilSettled(ctx context.Context, try func() error) {
	for pause := registerPause; ; pause = min(2*pause, maxRegisterPause) {
		if err := try(); err == nil || errors.Is(err, errLeaving) {
			return
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// leaving is the error for a miner whose operator has asked for the bond.
func leaving(have node.Miner) error {
	if have.Status != node.Unbonding {
		return nil
	}
	return fmt.Errorf("%w: its bond comes back after %s; to come again, start it after that", errLeaving,
		time.Unix(have.UnbondingUntil, 0).UTC().Format(time.RFC1123))
}

func (m *miner) isRegistered() error {
	if err := m.registered.Load(); err != nil {
		return *err
	}
	return errNotRegistered
}

func (m *miner) registerOnce(ctx context.Context) error {
	want, err := m.measure(ctx)
	if err != nil {
		return err
	}
	identity, ok := m.identity.Public().(ed25519.PublicKey)
	if !ok {
		return errors.New("the identity key is not Ed25519")
	}
	want.Name, want.Identity, want.Roles = m.set.Name, identity, []string{node.RoleCompute}
	want.Endpoint, want.Region, want.Version = m.set.Public, m.set.Region, m.set.Version
	if err := node.ValidVersion(want.Version); err != nil { // of a build by hand
		m.log.Warn("the miner is registered without a version", "error", err)
		want.Version = ""
	}
	have, err := m.chain.Miner(ctx, m.sender.Address())
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		return err
	}
	if err := leaving(have); err != nil {
		return err
	}
	bond := m.set.BondUhip - min(m.set.BondUhip, have.BondUhip)
	if bond == 0 && says(have, want) {
		m.offer.Store(&want.Capacity)
		m.log.Info("registration is up to date", "miner", m.set.Name)
		return nil
	}
	if err := m.sender.RegisterMiner(ctx, want, bond); err != nil {
		return err
	}
	m.offer.Store(&want.Capacity)
	m.log.Info("miner registered", "miner", m.set.Name, "cores", want.Capacity.Cores, "memory_mib", want.Capacity.MemoryMiB,
		"disk_gib", want.Capacity.DiskGiB, "acceleration", want.Hardware.Acceleration)
	return nil
}

// offered is the capacity that stands on chain, false before it does.
func (m *miner) offered() (node.Capacity, bool) {
	if c := m.offer.Load(); c != nil {
		return *c, true
	}
	return node.Capacity{}, false
}

// says tells whether the chain has what is wanted already. Measured speed
// differs each time, so it alone is no news. Whether a miner drains is its
// operator's word and not changed by a registration.
func says(have node.Miner, want node.Offer) bool {
	has := have.Offer
	has.Hardware.DiskWriteBytesPerSecond = want.Hardware.DiskWriteBytesPerSecond
	return (have.Status == node.Active || have.Status == node.Draining) && reflect.DeepEqual(has, want)
}

// measure gives what this host offers, or why it cannot offer what is set.
func (m *miner) measure(ctx context.Context) (node.Offer, error) {
	info, err := hostinfo.Measure(ctx, hostinfo.Config{Root: "/", DiskDir: m.set.Data})
	if err != nil {
		return node.Offer{}, err
	}
	host, err := m.driver.Host(ctx)
	if err != nil {
		return node.Offer{}, fmt.Errorf("look at the hypervisor: %w", err)
	}
	used, err := hostinfo.Taken(m.set.Data)
	if err != nil {
		return node.Offer{}, fmt.Errorf("measure what VMs take: %w", err)
	}
	o := m.set.Offer
	if m.set.Driver == Fake && o.Cores > 0 && o.MemoryMiB > 0 && o.DiskGiB > 0 {
		// Its VMs take nothing of this one, so any number of them fits.
		info.Cores, info.MemoryMiB = o.Cores, o.MemoryMiB+o.ReserveMemoryMiB
		info.DiskFreeGiB, info.DiskTotalGiB = o.DiskGiB+o.ReserveDiskGiB, o.DiskGiB+o.ReserveDiskGiB
	}
	offer, err := info.Decide(hostinfo.Request{
		Cores: o.Cores, MemoryMiB: o.MemoryMiB, DiskGiB: o.DiskGiB, ReserveMiB: o.ReserveMemoryMiB, ReserveGiB: o.ReserveDiskGiB,
	}, used/gib)
	if err != nil {
		return node.Offer{}, err
	}
	m.log.Info("host measured", "cores", info.Cores, "memory_mib", info.MemoryMiB, "disk_free_gib", info.DiskFreeGiB,
		"disk_write_bytes_per_second", info.DiskWriteBytesPerSecond, "acceleration", string(host.Acceleration), "evidence", host.Evidence)
	return node.Offer{
		Capacity: node.Capacity{Cores: offer.Cores, MemoryMiB: offer.MemoryMiB, DiskGiB: offer.DiskGiB},
		Hardware: node.Hardware{
			Arch: info.Arch, Acceleration: string(host.Acceleration), CPUModel: info.CPUModel,
			DiskWriteBytesPerSecond: info.DiskWriteBytesPerSecond,
		},
	}, nil
}
