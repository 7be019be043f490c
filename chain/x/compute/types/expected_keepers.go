package types

import (
	"context"

	marketplacetypes "github.com/hippius/compute/chain/x/marketplace/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/place"
	"github.com/hippius/compute/core/plan"
)

// Catalogue is what may be rented and by whom; x/marketplace offers it.
type Catalogue interface {
	Plan(ctx context.Context, name string) (marketplacetypes.Plan, error)
	Image(ctx context.Context, name string) (marketplacetypes.Image, error)
	App(ctx context.Context, name string) (marketplacetypes.App, error)
	// Price is what a size costs, a plan's or not, in ucredit per hour.
	Price(ctx context.Context, size plan.Size) (running, stopped uint64, err error)
	// RequireCreate is an error unless the account could create a VM now.
	RequireCreate(ctx context.Context, account string) error
	// RequireStart is an error if the account is out of credit.
	RequireStart(ctx context.Context, account string) error
}

// Meters charge accounts; x/marketplace offers them. Rates in ucredit per hour, times in unix seconds.
type Meters interface {
	AddVM(ctx context.Context, account string, stoppedRate uint64) error
	RemoveVM(ctx context.Context, account string, stoppedRate uint64) error
	ResizeVM(ctx context.Context, account string, from, to uint64) error
	// Rate is what the account's VMs cost now, SetRate changes it.
	Rate(ctx context.Context, account string) (uint64, error)
	SetRate(ctx context.Context, account string, delta int64) error
	// Charge settles at once what a miner was attested of one VM, in units, and returns those that were paid.
	Charge(ctx context.Context, account, miner string, units uint64) (paid uint64, err error)
}

// Miners are those that hold VMs; x/registry offers them.
type Miners interface {
	Miner(ctx context.Context, operator string) (registrytypes.Miner, error)
	// Walk and Named give miners that are alive; neither reads more than is asked for.
	Walk(ctx context.Context, region string, pass place.Pass, limit int) (registrytypes.Window, error)
	// RingSize is how many miners Walk may find in a region, "" for all.
	RingSize(ctx context.Context, region string) (uint64, error)
	Named(ctx context.Context, operators []string) ([]registrytypes.Miner, error)
	Seen(ctx context.Context, operator string) error
	CapacityKeeper
	RecordKeeper
}

// RecordKeeper keeps how miners did with the VMs they were given; x/registry offers it.
type RecordKeeper interface {
	// Booted notes that a VM's guest came to prove itself on a miner, Proved that it did for long enough, Failed that a VM did not come to
	// run.
	Booted(ctx context.Context, operator string) error
	Proved(ctx context.Context, operator string) error
	// Tries notes that a VM that has not run for long enough is held, or is not any more.
	Tries(ctx context.Context, operator string, begins bool) error
	Failed(ctx context.Context, operator string) error
}

// CapacityKeeper accounts for what VMs take of miners; x/registry offers it.
type CapacityKeeper interface {
	Hold(ctx context.Context, operator string, d node.Demand) error
	Release(ctx context.Context, operator string, d node.Demand) error
	// Swap replaces what a VM takes.
	Swap(ctx context.Context, operator string, from, to node.Demand) error
	// Recount sets what all VMs of a miner take, and how many are on trial.
	Recount(ctx context.Context, operator string, u node.Usage, trials uint32) error
	// CapacityVersion rises whenever the available capacity of a miner grew.
	CapacityVersion(ctx context.Context) (uint64, error)
}

// Registry is what else x/registry knows.
type Registry interface {
	Params(ctx context.Context) (registrytypes.Params, error)
	Committees
	HasRegion(ctx context.Context, region string) (bool, error)
	Regions(ctx context.Context, limit int) ([]string, error)
}

// Committees hold the secrets of VMs; x/registry offers them.
type Committees interface {
	Committee(ctx context.Context) (registrytypes.Committee, error)
	CommitteeOf(ctx context.Context, epoch uint64) (registrytypes.Committee, error)
	// HoldCommittee keeps a committee for instances dealt to it until ReleaseCommittee says that they need it no more.
	HoldCommittee(ctx context.Context, epoch, instances uint64) error
	ReleaseCommittee(ctx context.Context, epoch, instances uint64) error
	LiveInstances(ctx context.Context, epoch uint64) (uint64, error)
}

// Mesh knows tenants' address blocks; x/mesh offers it.
type Mesh interface {
	Block(ctx context.Context, owner string) (mesh.Block, error)
	VMAdded(ctx context.Context, owner string) error
	VMRemoved(ctx context.Context, owner string) error
	RevokeInstances(ctx context.Context, owner string, fingerprints [][]byte) error
}
