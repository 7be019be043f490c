package provision

import (
	"context"
	"net/netip"
	"time"

	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/seed"
)

// Catalogue is what can be rented.
type Catalogue interface {
	Images(ctx context.Context) ([]plan.Image, error)
	Apps(ctx context.Context) ([]plan.App, error)
}

// Secrets come from the keepers. Its error says which of them failed.
type Secrets interface {
	Collect(ctx context.Context, id vm.ID, seq uint32) (instance.Bundle, []byte, error)
}

// Images are the cached base images.
type Images interface {
	// Has tells whether an image is here.
	Has(im image.Image) bool
	// Get fetches and checks an image where it is not here, and gives its path.
	Get(ctx context.Context, im image.Image) (string, error)
	// Trim makes room, sparing what inUse tells by SHA-256 in hex.
	Trim(inUse func(sum string) bool, since time.Time) (uint64, error)
}

// Port is what a VM needs of the network.
type Port struct {
	ID vm.ID
	// Tenant that owns the VM: neighbours of one tenant may meet.
	Tenant string
	// BitsPerSecond each way.
	BitsPerSecond uint64
}

// NIC is a VM's way out: its tap on the host and what the guest is told.
type NIC struct {
	Tap     string
	MAC     string
	Address netip.Prefix
	Gateway netip.Addr
	DNS     []netip.Addr
	MTU     int
}

// Network gives VMs their taps. Both calls may be repeated; a VM keeps its address for as long as it is attached.
type Network interface {
	// Attach makes a VM's tap and its rules, or makes right what is there of them, also while the VM runs.
	Attach(ctx context.Context, p Port) (NIC, error)
	// Detach removes all that Attach made. What is not there is no error.
	Detach(ctx context.Context, id vm.ID) error
}

// Seeds keep VMs' CDs where the hypervisor finds them.
type Seeds interface {
	Put(s seed.Seed) (path string, err error)
	Remove(id vm.ID) error
	List() ([]vm.ID, error)
}

// Notes outlast the process.
type Notes interface {
	// DiskMade notes what a VM's disk is made for, and the instance whose key opens it.
	DiskMade(id vm.ID, seq uint32, b Built) error
}
