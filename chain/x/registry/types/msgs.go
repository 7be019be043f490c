package types

import (
	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/core/node"
)

// ValidateBasic checks the form of a registration.
func (m *MsgRegisterMiner) ValidateBasic() error {
	if _, err := account.Parse("operator", m.Operator); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	if m.BondUhip > maxBond {
		return ErrInvalid.Wrapf("%d uhip are to be bonded; at most %d", m.BondUhip, uint64(maxBond))
	}
	offered := Miner{
		Name: m.Name, Identity: m.Identity, Roles: m.Roles, Endpoint: m.Endpoint, Region: m.Region, Capacity: m.Capacity, Version: m.Version,
	}
	return validateOffer(offered.Core().Offer)
}

func validateOffer(o node.Offer) error {
	if err := o.Validate(); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

// Hardware is the part of a capacity that placement does not count.
func (c Capacity) Hardware() node.Hardware {
	return node.Hardware{Arch: c.Arch, Acceleration: c.Acceleration, CPUModel: c.CpuModel, DiskWriteBytesPerSecond: c.DiskWriteBytesPerSecond}
}

// Node is the part of a capacity that placement counts.
func (c Capacity) Node() node.Capacity {
	return node.Capacity{Cores: c.Cores, MemoryMiB: c.MemoryMib, DiskGiB: c.DiskGib}
}

// Covered is the part of what the miner offers that its bond covers: the part that counts.
func (m Miner) Covered(p Params) node.Capacity {
	return m.Capacity.Node().Covered(m.BondUhip, p.BondRates())
}

// Available is what of it is not taken.
func (m Miner) Available(p Params) node.Available {
	return node.AvailableCapacity(m.Covered(p), m.Usage.Node(), p.CpuOvercommit)
}

// Slots is how many more VMs the miner may be given.
func (m Miner) Slots(p Params) uint32 { return m.Record.Core().Slots(p.Newcomers()) }

// Core is the miner in the words of core.
func (m Miner) Core() node.Miner {
	return node.Miner{
		Operator: m.Operator,
		Offer: node.Offer{
			Name: m.Name, Identity: m.Identity, Roles: m.Roles, Endpoint: m.Endpoint, Region: m.Region,
			Capacity: m.Capacity.Node(), Hardware: m.Capacity.Hardware(), Version: m.Version,
		},
		BondUhip: m.BondUhip, Status: node.MinerStatus(max(0, m.Status)), RegisteredAt: m.RegisteredAt, LastSeen: m.LastSeen,
		Usage: m.Usage.Node(), UnbondingUntil: m.UnbondingUntil, Record: m.Record.Core(),
	}
}

// Node is the usage in the words of core.
func (u Usage) Node() node.Usage {
	return node.Usage{VMs: u.Vms, VCPUs: u.Vcpus, MemoryMiB: u.MemoryMib, DiskGiB: u.DiskGib}
}

// UsageOf is the inverse of Usage.Node.
func UsageOf(u node.Usage) Usage {
	return Usage{Vms: u.VMs, Vcpus: u.VCPUs, MemoryMib: u.MemoryMiB, DiskGib: u.DiskGiB}
}

// Core is the record in the words of core.
func (r Record) Core() node.Record {
	return node.Record{Proven: r.Proven, BootedParts: r.BootedParts, FailedParts: r.FailedParts, HalvedAt: r.HalvedAt, Trials: r.Trials}
}

// RecordOf is the inverse of Record.Core.
func RecordOf(r node.Record) Record {
	return Record{Proven: r.Proven, BootedParts: r.BootedParts, FailedParts: r.FailedParts, HalvedAt: r.HalvedAt, Trials: r.Trials}
}

// ValidateBasic checks the form of a drain.
func (m *MsgDrainMiner) ValidateBasic() error { return operator(m.Operator) }

// ValidateBasic checks the form of an unbonding.
func (m *MsgUnbondMiner) ValidateBasic() error { return operator(m.Operator) }

// ValidateBasic checks the form of a keeper's registration.
func (m *MsgRegisterKeeper) ValidateBasic() error {
	return Keeper{Operator: m.Operator, Identity: m.Identity, HpkeKey: m.HpkeKey, Endpoint: m.Endpoint, Name: m.Name}.Validate()
}

// Validate checks a keeper's form.
func (k Keeper) Validate() error {
	if err := operator(k.Operator); err != nil {
		return err
	}
	core := node.Keeper{Name: k.Name, Identity: k.Identity, HPKEKey: k.HpkeKey, Endpoint: k.Endpoint}
	if err := core.Validate(); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

// ValidateBasic checks the form of a change of parameters.
func (m *MsgUpdateParams) ValidateBasic() error {
	if _, err := account.Parse("authority", m.Authority); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return m.Params.Validate()
}

func operator(s string) error {
	if _, err := account.Parse("operator", s); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}
