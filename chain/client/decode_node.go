package client

import (
	"net/netip"

	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	"github.com/hippius/compute/core/committee"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/text"
)

func decodeMiner(d *decoder, m *registryv1.Miner) node.Miner {
	c, u := m.GetCapacity(), m.GetUsage()
	out := node.Miner{
		Operator: d.address("operator", m.GetOperator()),
		Offer: node.Offer{
			Name: m.GetName(), Identity: m.GetIdentity(), Roles: m.GetRoles(), Endpoint: m.GetEndpoint(), Region: m.GetRegion(),
			Capacity: node.Capacity{Cores: c.GetCores(), MemoryMiB: c.GetMemoryMib(), DiskGiB: c.GetDiskGib()},
			Hardware: node.Hardware{
				Arch: c.GetArch(), Acceleration: c.GetAcceleration(), CPUModel: c.GetCpuModel(),
				DiskWriteBytesPerSecond: c.GetDiskWriteBytesPerSecond(),
			},
			Version: m.GetVersion(),
		},
		BondUhip: m.GetBondUhip(), Status: enum(d, "miner status", m.GetStatus(), node.Gone),
		RegisteredAt: d.time("registered_at", m.GetRegisteredAt()), LastSeen: d.time("last_seen", m.GetLastSeen()),
		Usage:          node.Usage{VMs: u.GetVms(), VCPUs: u.GetVcpus(), MemoryMiB: u.GetMemoryMib(), DiskGiB: u.GetDiskGib()},
		UnbondingUntil: d.time("unbonding_until", m.GetUnbondingUntil()),
		Record: node.Record{
			Proven: m.GetRecord().GetProven(), BootedParts: m.GetRecord().GetBootedParts(), FailedParts: m.GetRecord().GetFailedParts(),
			HalvedAt: d.time("halved_at", m.GetRecord().GetHalvedAt()), Trials: m.GetRecord().GetTrials(),
		},
	}
	d.rule(out.Validate())
	return out
}

func decodeCommittee(d *decoder, c *registryv1.Committee) node.Committee {
	d.atMost("keepers", len(c.GetKeepers()), committee.MaxSeats)
	out := node.Committee{
		Epoch: c.GetEpoch(), Threshold: c.GetThreshold(), DealsUntil: d.time("deals_until", c.GetDealsUntil()),
		Keepers: all(d, c.GetKeepers(), decodeKeeper),
	}
	d.rule(out.Validate())
	return out
}

func decodeKeeper(d *decoder, k *registryv1.Keeper) node.Keeper {
	out := node.Keeper{
		Operator: d.address("operator", k.GetOperator()), Name: k.GetName(), Identity: k.GetIdentity(), HPKEKey: k.GetHpkeKey(),
		Endpoint: k.GetEndpoint(), Shares: int(min(k.GetShares(), committee.MaxShares+1)), Leaving: k.GetLeaving(),
	}
	d.rule(out.Validate())
	return out
}

func decodeTenant(d *decoder, t *meshv1.Tenant) mesh.Tenant {
	block := mesh.Block(t.GetIndex())
	d.atMost("devices", len(t.GetDevices()), mesh.MaxDevices)
	d.atMost("revoked certificates", len(t.GetRevoked()), mesh.MaxRevocations)
	if n := len(t.GetCaCertificate()); n > mesh.MaxCertificate {
		d.fail("the CA certificate has %d bytes; at most %d", n, mesh.MaxCertificate)
	}
	return mesh.Tenant{
		Owner: d.address("owner", t.GetOwner()), Block: block, Networks: d.networks(block, t.GetNetworks()),
		CAPublicKey: d.bytes("CA's public key", t.GetCaPublicKey(), keySize), CACertificate: t.GetCaCertificate(),
		Devices: all(d, t.GetDevices(), func(d *decoder, v *meshv1.Device) mesh.Device { return decodeDevice(d, block, v) }),
		Revoked: all(d, t.GetRevoked(), func(d *decoder, f []byte) []byte {
			return d.bytes("fingerprint", f, mesh.FingerprintSize)
		}),
		ChangedHeight: d.height("changed_height", t.GetChangedHeight()), RegisteredAt: d.time("registered_at", t.GetRegisteredAt()),
		VMs: t.GetVms(), ReleaseAt: d.time("release_at", t.GetReleaseAt()),
	}
}

func decodeDevice(d *decoder, block mesh.Block, v *meshv1.Device) mesh.Device {
	out := decodeNewDevice(d, v)
	if own, err := block.Addr(v.GetHost()); err != nil || own != out.Address {
		d.fail("device %q has the address %s, not its block's for host %d", v.GetName(), out.Address, v.GetHost())
	}
	return out
}

// decodeNewDevice is for an answer that does not say which block the device is in.
func decodeNewDevice(d *decoder, v *meshv1.Device) mesh.Device {
	d.rule(text.ValidName("device name", v.GetName()))
	if h := v.GetHost(); h < mesh.FirstDevice || h > mesh.LastDevice {
		d.fail("device %.80q has host number %d; devices have %d to %d", v.GetName(), h, mesh.FirstDevice, mesh.LastDevice)
	}
	return mesh.Device{Name: v.GetName(), Host: v.GetHost(), Address: d.addr("device address", v.GetAddress()), AddedAt: d.time("added_at", v.GetAddedAt())}
}

func decodeLighthouse(d *decoder, l *meshv1.Lighthouse) mesh.Lighthouse {
	d.rule(text.ValidName("lighthouse name", l.GetName()))
	d.atMost("endpoints", len(l.GetEndpoints()), mesh.MaxEndpoints)
	for _, e := range l.GetEndpoints() {
		d.rule(node.ValidEndpoint(e))
	}
	if n := len(l.GetCaCertificate()); n > mesh.MaxCertificate {
		d.fail("the CA certificate has %d bytes; at most %d", n, mesh.MaxCertificate)
	}
	return mesh.Lighthouse{
		Operator: d.address("operator", l.GetOperator()), Name: l.GetName(), Address: decodeLighthouseAddress(d, l.GetAddress()),
		CACertificate: l.GetCaCertificate(), Endpoints: l.GetEndpoints(), Relay: l.GetRelay(),
		ChangedHeight: d.height("changed_height", l.GetChangedHeight()), ExpiresAt: d.time("expires_at", l.GetExpiresAt()),
	}
}

func decodeLighthouseAddress(d *decoder, s string) netip.Addr {
	a := d.addr("lighthouse address", s)
	if _, err := mesh.LighthouseNumber(a); err != nil {
		d.rule(err)
	}
	return a
}
