package agent

import (
	"context"
	"errors"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/record"
	"github.com/hippius/compute/miner/report"
)

// Changes is what changed for this miner after a height.
type Changes struct {
	record.Changes
	// Head is the newest block a guest may sign; the zero value for none.
	Head vm.Head
}

// ErrUnknown says that the chain knows no such VM.
var ErrUnknown = errors.New("the chain does not know the VM")

// Chain is what the agent asks of the chain, as this miner.
type Chain interface {
	// Changes after a cursor; everything for 0 or one too old to be known.
	Changes(ctx context.Context, after int64) (Changes, error)
	// Everywhere asks each endpoint for a VM and fails unless all answer. It fails
	// with ErrUnknown if one does not know the VM.
	Everywhere(ctx context.Context, id vm.ID) ([]vm.VM, error)
	report.Chain
}

// Mesh is what the chain says of the mesh around a tenant.
type Mesh interface {
	View(ctx context.Context, owner string) (wire.Mesh, error)
}
