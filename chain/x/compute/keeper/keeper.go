// Package keeper keeps the VMs of all tenants: what they want,
// which miner holds what, and what was reported. The rules of a VM's life are
// in core/vm, those of placement in core/place.
package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"
	corestore "cosmossdk.io/core/store"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/entry"
)

type (
	ownerKey    = collections.Pair[string, string]
	minerKey    = collections.Triple[string, int64, string]
	timeKey     = collections.Pair[int64, string]
	dealtKey    = collections.Pair[string, uint64]
	queueKey    = collections.Triple[string, uint64, string]
	queuedKey   = collections.Triple[string, string, uint64]
	spreadKey   = collections.Triple[string, string, string]
	releaseKey  = collections.Quad[int64, string, int64, string]
	instanceKey = collections.Pair[string, uint32]
	hostKey     = collections.Pair[string, uint32]
	// exclusionKey is a time, an owner and a miner.
	exclusionKey = collections.Triple[int64, string, string]
)

// Keeper of VMs.
type Keeper struct {
	schema collections.Schema
	params collections.Item[types.Params]
	keys   collections.Map[ownerKey, types.SSHKey]

	// vms are kept without instances and attestations, which have maps of their own, and without
	// authorized keys, which follow from the names of keys in use.
	vms          collections.Map[string, types.VM]
	attestations collections.Map[string, types.Attestation]
	instances    collections.Map[instanceKey, types.Instance]
	owners       collections.KeySet[ownerKey]
	live         collections.KeySet[ownerKey]
	names        collections.Map[ownerKey, string]
	addresses    collections.Map[hostKey, string]

	// miners has one entry for each VM that is held, by miner, height of its last change and id.
	miners        collections.KeySet[minerKey]
	released      collections.KeySet[minerKey]
	releasedPrune collections.KeySet[releaseKey]
	oldestHeight  collections.Item[int64]

	deadlines    collections.KeySet[timeKey]
	queue        collections.KeySet[queueKey]
	queued       collections.KeySet[queuedKey]
	queueSeq     collections.Item[uint64]
	sweepCursor  collections.Item[string]
	sweepVersion collections.Item[uint64]
	sweepAgain   collections.Item[bool]
	searches     collections.Map[string, types.ClassSearch]
	together     collections.Map[ownerKey, uint64]
	spread       collections.Map[spreadKey, uint64]
	tombstones   collections.KeySet[timeKey]
	// dealt counts the instances of a VM that is not terminated by committee.
	dealt collections.Map[dealtKey, uint64]

	// exclusions hold until when a miner is tried last for an owner; exclusionsDue is their queue.
	exclusions    collections.Map[ownerKey, int64]
	exclusionsDue collections.KeySet[exclusionKey]

	heads       collections.Map[int64, types.Head]
	reportRates collections.Map[string, types.ReportRate]
	// halts hold when halts ended, by their length.
	halts collections.Map[int64, int64]

	// ready counts the VMs that run and are proven, silenceActions those acted on in an hour: hour and count.
	ready          collections.Item[uint64]
	silenceActions collections.Item[uint64]

	catalogue types.Catalogue
	meters    types.Meters
	offers    types.Miners
	registry  types.Registry
	mesh      types.Mesh
	authority string
}

// Registry is all that the module needs of x/registry.
type Registry interface {
	types.Miners
	types.Registry
}

// Marketplace is all that the module needs of x/marketplace.
type Marketplace interface {
	types.Catalogue
	types.Meters
}

// Config of a keeper.
type Config struct {
	Codec       codec.BinaryCodec
	Store       corestore.KVStoreService
	Marketplace Marketplace
	Registry    Registry
	Mesh        types.Mesh
	// Authority may change parameters.
	Authority string
}

// New is a keeper. The app gives it to x/marketplace as its hooks and to the
// ante handler as its gate for reports.
func New(c Config) (*Keeper, error) {
	sb := collections.NewSchemaBuilder(c.Store)
	str, i64, u64, u32 := collections.StringKey, collections.Int64Key, collections.Uint64Key, collections.Uint32Key
	pair := collections.PairKeyCodec(str, str)
	byTime := collections.PairKeyCodec(i64, str)
	byMiner := collections.TripleKeyCodec(str, i64, str)
	k := &Keeper{
		params:         collections.NewItem(sb, types.ParamsPrefix(), "params", codec.CollValue[types.Params](c.Codec)),
		keys:           collections.NewMap(sb, types.KeysPrefix(), "keys", pair, codec.CollValue[types.SSHKey](c.Codec)),
		vms:            collections.NewMap(sb, types.VMsPrefix(), "vms", str, codec.CollValue[types.VM](c.Codec)),
		instances:      collections.NewMap(sb, types.InstancesPrefix(), "instances", collections.PairKeyCodec(str, u32), codec.CollValue[types.Instance](c.Codec)),
		owners:         collections.NewKeySet(sb, types.OwnersPrefix(), "owners", pair),
		live:           collections.NewKeySet(sb, types.LivePrefix(), "live", pair),
		names:          collections.NewMap(sb, types.NamesPrefix(), "names", pair, collections.StringValue),
		addresses:      collections.NewMap(sb, types.AddressesPrefix(), "addresses", collections.PairKeyCodec(str, u32), collections.StringValue),
		miners:         collections.NewKeySet(sb, types.MinersPrefix(), "miners", byMiner),
		released:       collections.NewKeySet(sb, types.ReleasedPrefix(), "released", byMiner),
		releasedPrune:  collections.NewKeySet(sb, types.ReleasedPrunePrefix(), "released_prune", collections.QuadKeyCodec(i64, str, i64, str)),
		oldestHeight:   collections.NewItem(sb, types.OldestHeightPrefix(), "oldest_height", collections.Int64Value),
		deadlines:      collections.NewKeySet(sb, types.DeadlinesPrefix(), "deadlines", byTime),
		queue:          collections.NewKeySet(sb, types.QueuePrefix(), "queue", collections.TripleKeyCodec(str, u64, str)),
		queued:         collections.NewKeySet(sb, types.QueuedPrefix(), "queued", collections.TripleKeyCodec(str, str, u64)),
		queueSeq:       collections.NewItem(sb, types.QueueSeqPrefix(), "queue_seq", collections.Uint64Value),
		sweepCursor:    collections.NewItem(sb, types.SweepPrefix(), "sweep", collections.StringValue),
		sweepVersion:   collections.NewItem(sb, types.SweepVersionPrefix(), "sweep_version", collections.Uint64Value),
		sweepAgain:     collections.NewItem(sb, types.SweepAgainPrefix(), "sweep_again", collections.BoolValue),
		searches:       collections.NewMap(sb, types.SearchesPrefix(), "searches", str, codec.CollValue[types.ClassSearch](c.Codec)),
		together:       collections.NewMap(sb, types.TogetherPrefix(), "together", pair, collections.Uint64Value),
		spread:         collections.NewMap(sb, types.SpreadPrefix(), "spread", collections.TripleKeyCodec(str, str, str), collections.Uint64Value),
		tombstones:     collections.NewKeySet(sb, types.TombstonesPrefix(), "tombstones", byTime),
		dealt:          collections.NewMap(sb, types.DealtPrefix(), "dealt", collections.PairKeyCodec(str, u64), collections.Uint64Value),
		exclusions:     collections.NewMap(sb, types.ExclusionsPrefix(), "exclusions", pair, collections.Int64Value),
		exclusionsDue:  collections.NewKeySet(sb, types.ExclusionsDuePrefix(), "exclusions_due", collections.TripleKeyCodec(i64, str, str)),
		heads:          collections.NewMap(sb, types.HeadsPrefix(), "heads", i64, codec.CollValue[types.Head](c.Codec)),
		reportRates:    collections.NewMap(sb, types.ReportRatesPrefix(), "report_rates", str, codec.CollValue[types.ReportRate](c.Codec)),
		halts:          collections.NewMap(sb, types.HaltsPrefix(), "halts", i64, collections.Int64Value),
		attestations:   collections.NewMap(sb, types.AttestationsPrefix(), "attestations", str, codec.CollValue[types.Attestation](c.Codec)),
		ready:          collections.NewItem(sb, types.ReadyPrefix(), "ready", collections.Uint64Value),
		silenceActions: collections.NewItem(sb, types.SilenceActionsPrefix(), "silence_actions", collections.Uint64Value),
		catalogue:      c.Marketplace,
		meters:         c.Marketplace,
		offers:         c.Registry,
		registry:       c.Registry,
		mesh:           c.Mesh,
		authority:      c.Authority,
	}
	var err error
	if k.schema, err = sb.Build(); err != nil {
		return nil, fmt.Errorf("schema of x/compute: %w", err)
	}
	return k, nil
}

// Params in force.
func (k *Keeper) Params(ctx context.Context) (types.Params, error) { return k.params.Get(ctx) }

// BeginBlock notes the block, so that guests may prove that they know it.
func (k *Keeper) BeginBlock(ctx context.Context) error { return k.noteHead(ctx) }

// EndBlock does what is due: missed deadlines, placement, forgetting. What goes
// wrong with one VM is undone and logged, and stops neither the others nor the chain.
func (k *Keeper) EndBlock(ctx context.Context) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	if err := k.expire(ctx, p); err != nil {
		return fmt.Errorf("deadlines: %w", err)
	}
	if err := k.placeQueued(ctx, p); err != nil {
		return fmt.Errorf("placement: %w", err)
	}
	if err := k.prune(ctx, p); err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	return nil
}

// guarded runs one VM's step so that its failure leaves no trace but a log line and an event.
func (k *Keeper) guarded(ctx context.Context, id string, step func(context.Context) error) bool {
	return entry.Attempt(ctx, types.ModuleName, "vm_step", id, step)
}

func now(ctx context.Context) int64 { return sdk.UnwrapSDKContext(ctx).BlockTime().Unix() }

// height of the block, at least 1: a follower begins after 0.
func height(ctx context.Context) int64 { return max(sdk.UnwrapSDKContext(ctx).BlockHeight(), 1) }

func emit(ctx context.Context, event string, attrs ...sdk.Attribute) {
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(event, attrs...))
}
