// Package lighthouse keeps a gateway's lighthouse in step with the chain's
// directory of tenants: whose CA it trusts, and which certificates it refuses.
package lighthouse

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/internal/follow"
)

// Directory is the chain's list of tenants, followed by height.
type Directory interface {
	// Tenants changed after the height, and the height to ask from next. One without networks was released. It blocks for one query.
	Tenants(ctx context.Context, after int64) (changed []mesh.Tenant, next int64, err error)
	// Newest block's time.
	Newest(ctx context.Context) (time.Time, error)
}

// Admission is the rule that decides whether a CA may be trusted for an allocation.
type Admission func(ca []byte, networks []netip.Prefix) error

// Node is the running lighthouse.
type Node interface {
	// Trust replaces whom it trusts; live tunnels of those that stay are kept.
	Trust(all []Trusted) error
}

// Trusted is a tenant's CA, and what the tenant revoked of what it signed. It
// says nothing of what others signed.
type Trusted struct {
	CA []byte
	// Revoked certificate fingerprints, 32 bytes each.
	Revoked [][]byte
}

// Follower applies the directory to the node.
type Follower struct {
	dir   Directory
	admit Admission
	node  Node
	log   *slog.Logger
	steps *follow.Follower[int64, listing]
	known map[string]mesh.Tenant

	heights follow.Heights

	trusted, refused atomic.Int64
	synced           atomic.Bool
	heard            atomic.Int64 // unix nanoseconds
}

// New follows dir every interval, also while that fails: a revocation must not wait for a node that is back. What is
// known is in memory alone, and so is the cursor.
func New(dir Directory, admit Admission, node Node, every time.Duration, log *slog.Logger) *Follower {
	f := &Follower{dir: dir, admit: admit, node: node, log: log, known: map[string]mesh.Tenant{}}
	f.steps = follow.New(follow.Config[int64, listing]{
		Fetch: f.fetch, Apply: f.apply, Every: every, MaxPause: every,
		Failed: func(err error) { log.Warn("follow tenants", "error", err) },
	})
	return f
}

// Synced says that the directory was applied at least once.
func (f *Follower) Synced() bool { return f.synced.Load() }

// Heard is when the directory last answered; zero for not yet.
func (f *Follower) Heard() time.Time {
	if at := f.heard.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Counts gives how many tenants' CAs are trusted, and how many were refused.
func (f *Follower) Counts() (trusted, refused int64) { return f.trusted.Load(), f.refused.Load() }

// Run follows until ctx ends, which is no error. A failed query is logged and tried again.
func (f *Follower) Run(ctx context.Context) error { return f.steps.Run(ctx) }

// Step asks once and applies what changed.
func (f *Follower) Step(ctx context.Context) error { return f.steps.Step(ctx) }

// listing is what the directory told: what changed, or everything.
type listing struct {
	tenants []mesh.Tenant
	all     bool
}

func (f *Follower) fetch(ctx context.Context, after int64) (listing, int64, error) {
	changed, next, err := f.dir.Tenants(ctx, after)
	if err != nil {
		return listing{}, 0, fmt.Errorf("list tenants after height %d: %w", after, err)
	}
	out := listing{tenants: changed, all: after == 0}
	if next < after {
		if out, next, err = f.anew(ctx, next, after); err != nil {
			return listing{}, 0, err
		}
	} else if err := f.heights.Check(next, time.Now()); err != nil {
		return listing{}, 0, fmt.Errorf("the list of tenants is not used: %w", err)
	}
	now := time.Now()
	f.heights.Heard(next, now)
	f.heard.Store(now.UnixNano())
	return out, next, nil
}

// anew asks for everything if the cursor was of no block. A node that is behind is not listened to: certificates were revoked since.
func (f *Follower) anew(ctx context.Context, at, after int64) (listing, int64, error) {
	newest, err := f.dir.Newest(ctx)
	if err != nil {
		return listing{}, 0, fmt.Errorf("newest block: %w", err)
	}
	if !follow.Wrong(after, at, newest, time.Now()) {
		return listing{}, 0, fmt.Errorf("the chain's node is at block %d and heard was up to %d: nothing is taken from it until it has caught up", at, after)
	}
	f.log.Warn("the cursor is of no block of this chain; everything is heard anew", "height", at, "cursor", after)
	all, next, err := f.dir.Tenants(ctx, 0)
	if err != nil {
		return listing{}, 0, fmt.Errorf("list tenants: %w", err)
	}
	return listing{tenants: all, all: true}, next, nil
}

// apply takes in what changed, all of it in one reload.
func (f *Follower) apply(_ context.Context, told listing, _ int64) error {
	if len(told.tenants) == 0 && !told.all && f.synced.Load() {
		return nil
	}
	known := maps.Clone(f.known)
	if told.all {
		clear(known)
	}
	for _, t := range told.tenants {
		if len(t.Networks) == 0 {
			delete(known, t.Owner)
			continue
		}
		known[t.Owner] = t
	}
	admitted, refused := f.admitted(known)
	if err := f.node.Trust(admitted); err != nil {
		return fmt.Errorf("reload lighthouse with %d tenants: %w", len(admitted), err)
	}
	f.known = known
	f.trusted.Store(int64(len(admitted)))
	f.refused.Store(int64(refused))
	f.synced.Store(true)
	return nil
}

// admitted gives the tenants whose CA the rule admits, in a stable order.
func (f *Follower) admitted(known map[string]mesh.Tenant) (all []Trusted, refused int) {
	for _, owner := range slices.Sorted(maps.Keys(known)) {
		t := known[owner]
		if len(t.CACertificate) == 0 {
			continue
		}
		if err := f.admit(t.CACertificate, t.Networks); err != nil {
			refused++
			f.log.Warn("tenant's CA refused", "account", owner, "error", err)
			continue
		}
		all = append(all, Trusted{CA: t.CACertificate, Revoked: t.Revoked})
	}
	return all, refused
}
