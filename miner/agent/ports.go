package agent

import (
	"context"
	"net/netip"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/report"
	"github.com/hippius/compute/miner/seed"
)

// Changes is what changed for this miner after a height.
type Changes struct {
	// VMs it holds or must still let go of.
	VMs []vm.VM
	// Released are ids it held and holds no more.
	Released []vm.ID
	// Full says that VMs is everything there is.
	Full bool
	// Height is the next cursor.
	Height int64
	// Head is the newest block a guest may sign; the zero value for none.
	Head vm.Head
}

// Chain is what the agent asks of the chain, as this miner.
type Chain interface {
	// Changes after a cursor; everything for 0 or one too old to be known.
	Changes(ctx context.Context, after int64) (Changes, error)
	// Everywhere asks each endpoint for a VM and fails unless all answer. An
	// endpoint that does not know the VM answers the zero value.
	Everywhere(ctx context.Context, id vm.ID) ([]vm.VM, error)
	report.Chain
}

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

// Network gives VMs their taps. Both calls may be repeated; a VM keeps its
// address for as long as it is attached.
type Network interface {
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

// Mesh is what the chain says of the mesh around a tenant.
type Mesh interface {
	View(ctx context.Context, owner string) (wire.Mesh, error)
}
