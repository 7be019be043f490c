package types

import (
	"slices"

	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/internal/endpoint"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
)

const (
	// KeySize of identity and HPKE keys, in bytes.
	KeySize = 32
	maxText = 128
	// RoleCompute is the role of a miner that runs virtual machines.
	RoleCompute = "compute"
	// RoleStorage is the role of a miner that keeps storage shards.
	RoleStorage = "storage"
)

// ValidateBasic checks the form of a registration.
func (m *MsgRegisterMiner) ValidateBasic() error {
	if _, err := account.Parse("operator", m.Operator); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	if m.BondUhip > maxBond {
		return ErrInvalid.Wrapf("%d uhip are to be bonded; at most %d", m.BondUhip, uint64(maxBond))
	}
	if err := node.ValidVersion(m.Version); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return validateOffer(m.Name, m.Identity, m.Roles, m.Endpoint, m.Region, m.Capacity)
}

func validateOffer(name string, identity []byte, roles []string, addr, region string, c Capacity) error {
	if err := vm.ValidName("miner name", name); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	if err := validateKey("identity key", identity); err != nil {
		return err
	}
	if len(roles) == 0 || len(roles) > 2 {
		return ErrInvalid.Wrapf("%d roles named; accepted are compute, storage or both", len(roles))
	}
	for i, r := range roles {
		if r != RoleCompute && r != RoleStorage || slices.Contains(roles[:i], r) {
			return ErrInvalid.Wrapf("role %.20q; accepted are compute and storage, each once", r)
		}
	}
	if err := validateEndpoint(addr); err != nil {
		return err
	}
	if err := vm.ValidName("region", region); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return c.Validate()
}

// Validate checks an offered capacity.
func (c Capacity) Validate() error {
	if err := c.Node().Validate(); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	if c.Arch != "amd64" && c.Arch != "arm64" {
		return ErrInvalid.Wrapf("architecture %.20q; accepted are amd64 and arm64", c.Arch)
	}
	if c.Acceleration != "kvm" && c.Acceleration != "tcg" {
		return ErrInvalid.Wrapf("acceleration %.20q; accepted are kvm and tcg", c.Acceleration)
	}
	return printable("CPU model", c.CpuModel)
}

// Node is the part of a capacity that placement counts.
func (c Capacity) Node() node.Capacity {
	return node.Capacity{Cores: c.Cores, MemoryMiB: c.MemoryMib, DiskGiB: c.DiskGib}
}

// Node is the usage in the words of core.
func (u Usage) Node() node.Usage {
	return node.Usage{VMs: u.Vms, VCPUs: u.Vcpus, MemoryMiB: u.MemoryMib, DiskGiB: u.DiskGib}
}

// UsageOf is the inverse of Usage.Node.
func UsageOf(u node.Usage) Usage {
	return Usage{Vms: u.VMs, Vcpus: u.VCPUs, MemoryMib: u.MemoryMiB, DiskGib: u.DiskGiB}
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
	if err := validateKey("identity key", k.Identity); err != nil {
		return err
	}
	if err := validateKey("HPKE key", k.HpkeKey); err != nil {
		return err
	}
	if err := validateEndpoint(k.Endpoint); err != nil {
		return err
	}
	if err := vm.ValidName("keeper name", k.Name); err != nil {
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

func validateEndpoint(s string) error {
	if err := endpoint.Validate(s); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

func operator(s string) error {
	if _, err := account.Parse("operator", s); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

func validateKey(what string, key []byte) error {
	if len(key) != KeySize {
		return ErrInvalid.Wrapf("the %s has %d bytes; it needs exactly %d", what, len(key), KeySize)
	}
	return nil
}

func printable(what, s string) error {
	if len(s) > maxText {
		return ErrInvalid.Wrapf("the %s has %d bytes; at most %d", what, len(s), maxText)
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return ErrInvalid.Wrapf("the %s has byte 0x%02x; accepted are printable ASCII characters", what, c)
		}
	}
	return nil
}
