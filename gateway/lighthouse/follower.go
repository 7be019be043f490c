// Package lighthouse keeps a gateway's lighthouse in step with the chain's
// directory of tenants: whose CA it trusts, and which certificates it refuses.
package lighthouse

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Tenant is one entry of the chain's directory. One without networks was released.
type Tenant struct {
	Owner    string
	Networks []netip.Prefix
	// CA is the tenant's certificate; empty until the tenant has set it.
	CA []byte
	// Revoked certificate fingerprints, 32 bytes each.
	Revoked [][]byte
}

// Directory is the chain's list of tenants, followed by height.
type Directory interface {
	// Tenants changed after the height, and the height to ask from next. It blocks for one query.
	Tenants(ctx context.Context, after int64) (changed []Tenant, next int64, err error)
}

// Admission is the rule that decides whether a CA may be trusted for an allocation.
type Admission func(ca []byte, networks []netip.Prefix) error

// Node is the running lighthouse.
type Node interface {
	// Trust replaces the tenants' CAs and the blocklist; live tunnels of those that stay are kept.
	Trust(cas [][]byte, blocklist [][]byte) error
}

// Follower applies the directory to the node.
type Follower struct {
	dir    Directory
	admit  Admission
	node   Node
	every  time.Duration
	log    *slog.Logger
	cursor int64
	known  map[string]Tenant

	trusted, refused atomic.Int64
	synced           atomic.Bool
}

// New follows dir every interval.
func New(dir Directory, admit Admission, node Node, every time.Duration, log *slog.Logger) *Follower {
	return &Follower{dir: dir, admit: admit, node: node, every: every, log: log, known: map[string]Tenant{}}
}

// Synced says that the directory was applied at least once.
func (f *Follower) Synced() bool { return f.synced.Load() }

// Counts gives how many tenants' CAs are trusted, and how many were refused.
func (f *Follower) Counts() (trusted, refused int64) { return f.trusted.Load(), f.refused.Load() }

// Run follows until ctx ends, which is no error. A failed query is logged and tried again.
func (f *Follower) Run(ctx context.Context) error {
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		if err := f.Step(ctx); err != nil && ctx.Err() == nil {
			f.log.Warn("follow tenants", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Step asks once and applies what changed, all of it in one reload.
func (f *Follower) Step(ctx context.Context) error {
	changed, next, err := f.dir.Tenants(ctx, f.cursor)
	if err != nil {
		return fmt.Errorf("list tenants after height %d: %w", f.cursor, err)
	}
	if len(changed) == 0 && f.synced.Load() {
		f.cursor = next
		return nil
	}
	known := maps.Clone(f.known)
	for _, t := range changed {
		if len(t.Networks) == 0 {
			delete(known, t.Owner)
			continue
		}
		known[t.Owner] = t
	}
	cas, blocklist, refused := f.bundle(known)
	if err := f.node.Trust(cas, blocklist); err != nil {
		return fmt.Errorf("reload lighthouse with %d tenants: %w", len(cas), err)
	}
	f.known, f.cursor = known, next
	f.trusted.Store(int64(len(cas)))
	f.refused.Store(int64(refused))
	f.synced.Store(true)
	return nil
}

// bundle gives the CAs that the rule admits, in a stable order, and all revoked fingerprints.
func (f *Follower) bundle(known map[string]Tenant) (cas, blocklist [][]byte, refused int) {
	for _, owner := range slices.Sorted(maps.Keys(known)) {
		t := known[owner]
		blocklist = append(blocklist, t.Revoked...)
		if len(t.CA) == 0 {
			continue
		}
		if err := f.admit(t.CA, t.Networks); err != nil {
			refused++
			f.log.Warn("tenant's CA refused", "owner", owner, "error", err)
			continue
		}
		cas = append(cas, t.CA)
	}
	slices.SortFunc(blocklist, bytes.Compare)
	return cas, slices.CompactFunc(blocklist, bytes.Equal), refused
}
