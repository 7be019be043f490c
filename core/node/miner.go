package node

import (
	"fmt"
	"slices"

	"github.com/hippius/compute/core/text"
)

// KeySize of identity and HPKE keys, in bytes.
const KeySize = 32

const maxCPUModel = 128

// Roles of a miner.
const (
	// RoleCompute runs virtual machines.
	RoleCompute = "compute"
	// RoleStorage keeps storage shards.
	RoleStorage = "storage"
)

// MinerStatus is where a miner stands; a closed set with the numbers of the chain's messages.
type MinerStatus uint8

// The statuses of a miner.
const (
	Active MinerStatus = iota + 1
	// Draining keeps its VMs and gets no new one.
	Draining
	// Unbonding waits for its bond.
	Unbonding
	// Gone has its bond back.
	Gone
)

// String gives the status in lower case, "status(n)" for none.
func (s MinerStatus) String() string {
	switch s {
	case Active:
		return "active"
	case Draining:
		return "draining"
	case Unbonding:
		return "unbonding"
	case Gone:
		return "gone"
	default:
		return fmt.Sprintf("status(%d)", uint8(s))
	}
}

// Hardware is what a miner says of its host beside its capacity.
type Hardware struct {
	// Arch is "amd64" or "arm64", Acceleration "kvm" or "tcg".
	Arch, Acceleration string
	CPUModel           string
	// DiskWriteBytesPerSecond as measured; 0 for not measured.
	DiskWriteBytesPerSecond uint64
}

// Offer is what a miner registers.
type Offer struct {
	Name string
	// Identity is the Ed25519 public key of its transport, 32 bytes.
	Identity []byte
	// Roles are RoleCompute, RoleStorage or both.
	Roles []string
	// Endpoint host:port of its peer services.
	Endpoint string
	Region   string
	Capacity Capacity
	Hardware Hardware
	// Version of its program, as it says.
	Version string
}

// Validate says in one sentence what is out of bounds.
func (o Offer) Validate() error {
	if err := text.ValidName("miner name", o.Name); err != nil {
		return err
	}
	if err := validKey("identity key", o.Identity); err != nil {
		return err
	}
	if len(o.Roles) == 0 || len(o.Roles) > 2 {
		return fmt.Errorf("%d roles named; accepted are compute, storage or both", len(o.Roles))
	}
	for i, r := range o.Roles {
		if r != RoleCompute && r != RoleStorage || slices.Contains(o.Roles[:i], r) {
			return fmt.Errorf("role %.20q; accepted are compute and storage, each once", r)
		}
	}
	if err := ValidEndpoint(o.Endpoint); err != nil {
		return err
	}
	if err := text.ValidName("region", o.Region); err != nil {
		return err
	}
	if err := o.Capacity.Validate(); err != nil {
		return err
	}
	if err := o.Hardware.validate(); err != nil {
		return err
	}
	return ValidVersion(o.Version)
}

func (h Hardware) validate() error {
	if h.Arch != "amd64" && h.Arch != "arm64" {
		return fmt.Errorf("architecture %.20q; accepted are amd64 and arm64", h.Arch)
	}
	if h.Acceleration != "kvm" && h.Acceleration != "tcg" {
		return fmt.Errorf("acceleration %.20q; accepted are kvm and tcg", h.Acceleration)
	}
	return text.ValidASCII("CPU model", h.CPUModel, maxCPUModel)
}

func validKey(what string, key []byte) error {
	if len(key) != KeySize {
		return fmt.Errorf("the %s has %d bytes; it needs exactly %d", what, len(key), KeySize)
	}
	return nil
}

// Miner is a registered miner, named by the account that operates it. Times are unix seconds.
type Miner struct {
	// Operator is an account address.
	Operator string
	Offer
	BondUhip     uint64
	Status       MinerStatus
	RegisteredAt int64
	// LastSeen is the block time of its last accepted batch.
	LastSeen int64
	// Usage is what placed VMs take.
	Usage Usage
	// UnbondingUntil is 0 unless it is unbonding.
	UnbondingUntil int64
	Record         Record
}

// Keeper holds shares of VM secrets.
type Keeper struct {
	// Operator is the account address of a validator's operator.
	Operator string
	Name     string
	// Identity is the Ed25519 key of its transport and receipts, HPKEKey the X25519 key shares are sealed to; 32 bytes each.
	Identity, HPKEKey []byte
	Endpoint          string
	// Shares of every secret that it holds as a member of a committee; 0 elsewhere.
	Shares int
	// Leaving: it serves what it holds and is in no further committee.
	Leaving bool
}

// Validate says in one sentence what is out of bounds. The operator's address is not its matter.
func (k Keeper) Validate() error {
	if err := validKey("identity key", k.Identity); err != nil {
		return err
	}
	if err := validKey("HPKE key", k.HPKEKey); err != nil {
		return err
	}
	if err := ValidEndpoint(k.Endpoint); err != nil {
		return err
	}
	return text.ValidName("keeper name", k.Name)
}
