// Package plan is the catalogue of what can be rented: sizes of VMs
// and their price, operating system images, applications. Pure rules
// and the network's defaults; the chain keeps what is in force.
package plan

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/hippius/compute/core/credit"
)

// MiBPerGiB turns GiB into MiB.
const MiBPerGiB = 1024

// Plan is a size of VM that is offered under a name.
type Plan struct {
	Name string `json:"name"`
	Size
	// Order in listings, smallest first.
	Order uint32 `json:"order"`
}

// Validate says in one sentence what is wrong with the plan.
func (p Plan) Validate() error {
	if err := ValidateName("plan", p.Name); err != nil {
		return err
	}
	if err := p.Size.Validate(); err != nil {
		return fmt.Errorf("plan %q %w", p.Name, err)
	}
	return nil
}

// Prices are in ucredit per hour.
type Prices struct {
	VCPU, MemoryGiB, DiskGiB uint64
}

// Bounds of the prices, in ucredit per hour: each part of the largest size costs a third of what an account may be charged, so that
// whatever plan governance offers has a rate.
const (
	MaxVCPUPrice   = credit.MaxRate / 3 / MaxVCPUs
	MaxMemoryPrice = credit.MaxRate / 3 / (MaxMemoryMiB / MiBPerGiB)
	MaxDiskPrice   = credit.MaxRate / 3 / MaxDiskGiB
)

// DefaultPrices are 0.004 credit per vCPU, 0.002 per GiB of memory and 0.000 05 per GiB of disk, an hour.
func DefaultPrices() Prices { return Prices{VCPU: 4000, MemoryGiB: 2000, DiskGiB: 50} }

// Validate bounds the prices; 0 gives a part away.
func (p Prices) Validate() error {
	for _, c := range []struct {
		what    string
		v, most uint64
	}{{"vCPU", p.VCPU, MaxVCPUPrice}, {"GiB of memory", p.MemoryGiB, MaxMemoryPrice}, {"GiB of disk", p.DiskGiB, MaxDiskPrice}} {
		if c.v > c.most {
			return fmt.Errorf("the price of a %s is %d ucredit an hour; at most %d", c.what, c.v, c.most)
		}
	}
	return nil
}

// Rates are what a VM costs, in ucredit per hour.
type Rates struct {
	// Running is vCPUs, memory and disk; Stopped is the disk alone.
	Running uint64 `json:"running_ucredit_per_hour"`
	Stopped uint64 `json:"stopped_ucredit_per_hour"`
}

// Priced is a plan with what it costs now.
type Priced struct {
	Plan
	Rates
}

// Quote is what a VM of a plan would cost an account, in ucredit.
type Quote struct {
	Rates
	// Holdback is kept back for the stopped disk, MinCreate what balance and fees must reach, Missing what the account
	// lacks before it may create the VM; 0 if it may.
	Holdback, MinCreate, Missing uint64
	// RunwaySeconds that the balance lasts once the VM runs.
	RunwaySeconds uint64
}

// Quote prices a size. Memory that is no whole number of GiB is rounded up to
// the next ucredit; all else is exact.
func (p Prices) Quote(s Size) (Rates, error) {
	if err := p.Validate(); err != nil {
		return Rates{}, err
	}
	if err := s.Validate(); err != nil {
		return Rates{}, fmt.Errorf("a VM that %w", err)
	}
	// The bounds above keep every product below 2^60.
	hi, mem := bits.Mul64(s.MemoryMiB, p.MemoryGiB)
	if hi != 0 {
		return Rates{}, fmt.Errorf("the price of %d MiB of memory does not fit into 64 bits", s.MemoryMiB)
	}
	mem = (mem + MiBPerGiB - 1) / MiBPerGiB
	disk := s.DiskGiB * p.DiskGiB
	return Rates{Running: uint64(s.VCPUs)*p.VCPU + mem + disk, Stopped: disk}, nil
}

// Defaults are the plans of a new network. Limits double with each tier up to
// 20 000 IOPS, 1 GB/s of disk and 10 Gbit/s of network.
func Defaults() []Plan {
	sizes := []struct {
		name         string
		vcpus        uint32
		memGiB, disk uint64
	}{
		{"spark", 1, 2, 18},
		{"pulse", 2, 4, 26},
		{"cipher", 4, 8, 42},
		{"vault", 8, 16, 74},
		{"fortress", 16, 32, 138},
		{"titan", 32, 64, 266},
		{"sovereign", 64, 128, 522},
	}
	plans := make([]Plan, 0, len(sizes))
	for i, s := range sizes {
		plans = append(plans, Plan{
			Name: s.name,
			Size: Size{
				VCPUs:                s.vcpus,
				MemoryMiB:            s.memGiB * MiBPerGiB,
				DiskGiB:              s.disk,
				IOPS:                 min(uint32(500)<<i, 20_000),
				DiskBytesPerSecond:   min(uint64(50_000_000)<<i, 1_000_000_000),
				NetworkBitsPerSecond: min(uint64(100_000_000)<<i, 10_000_000_000),
			},
			Order: uint32(i) + 1,
		})
	}
	return plans
}

// Sort orders plans as they are listed.
func Sort(plans []Plan) {
	slices.SortFunc(plans, func(a, b Plan) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), strings.Compare(a.Name, b.Name))
	})
}

// MaxName is the longest name of a plan, image or application, in bytes.
const MaxName = 32

// ValidateName checks the name of a catalogue entry, what being its kind.
func ValidateName(what, name string) error {
	ok := name != "" && len(name) <= MaxName
	for i, c := range []byte(name) {
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '-' && c != '.') {
			ok = false
		}
	}
	if !ok {
		return fmt.Errorf("%s name %.40q; a name is 1 to %d of a-z, 0-9, '-' and '.', beginning with a letter or digit", what, name, MaxName)
	}
	return nil
}
