// Package keeper holds shares of VM secrets, one member of a committee with as many
// shares of each as its operator's stake gives, and gives them only to whom the chain says may have them: the miner that holds the
// VM, for its instances up to the current one, and the owner.
//
// A deal comes before its VM is on chain. It is taken from an owner who could
// create a VM now, bound to owner, VM, instance, keeper and committee epoch,
// verified against its commitment, on disk before the receipt is signed, and
// dropped if the VM does not appear. Shares lie on disk as they came: sealed.
package keeper

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/keylock"
	"github.com/hippius/compute/internal/peer"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/store"
)

// Chain is what a keeper must know of the chain. An error means that it cannot say; the caller is told to come again.
type Chain interface {
	// VM by id; found is false if the chain knows none.
	VM(ctx context.Context, id vm.ID) (v vm.VM, found bool, err error)
	Miner(ctx context.Context, operator string) (node.Miner, error)
	// MayCreate says for how many VMs, none ordered yet, the account's balance would do together; 0 if it may create none.
	MayCreate(ctx context.Context, owner string) (vms int, err error)
	// CommitteeOf an epoch; found is false if the chain knows none.
	CommitteeOf(ctx context.Context, epoch uint64) (c node.Committee, found bool, err error)
	// Time of the newest block.
	Time(ctx context.Context) (time.Time, error)
}

// Limits bound what strangers make a keeper hold and do.
type Limits struct {
	// PendingPerOwner and Pending are VMs dealt and not on chain yet. When all places are taken, the oldest of the owner
	// with most gives way to an owner with fewer.
	PendingPerOwner, Pending int
	// Uncovered is how many of them an owner may have whose balance is for one alone: several are ordered at once, and orders fail.
	Uncovered int
	// VMs held in all.
	VMs int
	// VMBytes held for one VM: user data, its present instance, and those that the chain lets be dealt ahead.
	VMBytes int
	// DealsPerMinute of one owner, and as many at once.
	DealsPerMinute int
	// PendingFor is how long a VM's first deal waits for it to be on chain, in chain time; dealing again adds nothing.
	PendingFor time.Duration
	// OrderWithin is what a receipt leaves of that at least: with less left a pending deal is not taken again.
	OrderWithin time.Duration
	// YieldAfter is how old a pending deal must be to give way to another of its own owner that needs its part of the
	// balance: what is being ordered right now does not.
	YieldAfter time.Duration
	// Recheck is how often a VM on chain is looked at again, to erase what belongs to a terminated one.
	Recheck time.Duration
	// MissingFor is how long a VM that was on chain must be gone from it before its shares are erased.
	MissingFor time.Duration
}

// DefaultLimits hold about 50 GiB at most, and a tenth of that of usual VMs.
func DefaultLimits() Limits {
	return Limits{
		PendingPerOwner: 32, Pending: 2048, Uncovered: 4, VMs: 100_000, VMBytes: 512 << 10, DealsPerMinute: 30,
		PendingFor: 10 * time.Minute, OrderWithin: 5 * time.Minute, YieldAfter: time.Minute, Recheck: time.Hour, MissingFor: 24 * time.Hour,
	}
}

// left is what remains at now of the time that a deal waits for its VM.
func (l Limits) left(dealtAt int64, now time.Time) time.Duration {
	return l.PendingFor - time.Duration(now.Unix()-dealtAt)*time.Second
}

func (l Limits) lapsed(dealtAt int64, now time.Time) bool { return l.left(dealtAt, now) <= 0 }

// Config of a Keeper; every field is required.
type Config struct {
	ChainID string
	// Identity signs receipts and is the key of the keeper's transport.
	Identity ed25519.PrivateKey
	// Sealing opens the shares dealt to it.
	Sealing *sealbox.Key
	DB      *store.DB
	Chain   Chain
	Limits  Limits
	// Now is the clock grants are checked by.
	Now func() time.Time
	Log *slog.Logger
}

// Keeper is the service. Register it on a peer server: it takes the caller's identity from there.
type Keeper struct {
	keeperv1.UnimplementedKeeperServer
	set    Config
	me     ed25519.PublicKey
	vault  vault
	owners *pace
	locks  keylock.Map[vm.ID]
}

// New makes the service; Sweep must run beside it.
func New(set Config) *Keeper {
	return &Keeper{
		set:    set,
		me:     ed25519.PublicKey(set.Identity[ed25519.SeedSize:]),
		vault:  newVault(set.DB, set.Limits),
		owners: newPace(set.Limits.DealsPerMinute, set.Now),
	}
}

// caller is the key that the other side of the call proved.
func caller(ctx context.Context) (ed25519.PublicKey, error) {
	id, ok := peer.Identity(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "the connection carries no identity key")
	}
	return id, nil
}

// chainDown hides the cause, which is ours, from the caller.
func (k *Keeper) chainDown(what string, err error) error {
	k.set.Log.Warn("chain query failed", "operation", what, "error", err)
	return status.Error(codes.Unavailable, "this keeper cannot ask the chain now: try again")
}

func (k *Keeper) broken(what string, id vm.ID, err error) error {
	k.set.Log.Error("keeper storage failed", "operation", what, "vm_id", id, "error", err)
	return status.Error(codes.Internal, "this keeper's storage failed")
}

// Counts says how much is held.
func (k *Keeper) Counts() (Counts, error) { return k.vault.counts() }
