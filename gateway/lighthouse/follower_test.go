package lighthouse

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/core/mesh"
)

// directory is a working list of tenants by height.
type directory struct {
	mu  sync.Mutex
	at  map[string]int64
	all map[string]mesh.Tenant
	h   int64
	err error
	// lie is told in place of the height, if it is not 0; newest is the time of the last block, now if zero.
	lie    int64
	newest time.Time
}

func (d *directory) Newest(context.Context) (time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.newest.IsZero() {
		return time.Now(), d.err
	}
	return d.newest, d.err
}

func (d *directory) set(t mesh.Tenant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.h++
	d.at[t.Owner], d.all[t.Owner] = d.h, t
}

// fail makes the list unreachable, or reachable again with nil.
func (d *directory) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *directory) Tenants(_ context.Context, after int64) ([]mesh.Tenant, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, 0, d.err
	}
	var out []mesh.Tenant
	for owner, h := range d.at {
		if h > after {
			out = append(out, d.all[owner])
		}
	}
	if d.lie != 0 {
		return out, d.lie, nil
	}
	return out, d.h, nil
}

// TestHeightThatIsNot: a directory that tells of a height that is not makes the follower deaf neither for long nor, once it
// has heard a true one, at all.
func TestHeightThatIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &directory{at: map[string]int64{}, all: map[string]mesh.Tenant{}, lie: 1 << 48}
		n := &node{}
		f := New(d, admit, n, time.Second, slog.New(slog.DiscardHandler))
		trusts := func(want ...string) {
			t.Helper()
			var got []string
			for _, one := range n.trusts {
				got = append(got, string(one.CA))
			}
			if !slices.Equal(got, want) {
				t.Errorf("trusted are %q, want %q", got, want)
			}
		}
		step := func(fails bool) {
			t.Helper()
			if err := f.Step(t.Context()); (err != nil) != fails {
				t.Errorf("step: %v", err)
			}
		}
		d.set(tenant("a", "100.64.0.0/26"))
		d.set(tenant("gone", "100.64.0.64/26"))
		step(false) // there is nothing to compare a first height with
		d.lie = 0
		d.mu.Lock()
		delete(d.at, "gone") // what a lie made up
		d.mu.Unlock()
		d.set(tenant("b", "100.64.0.128/26"))
		step(false)
		trusts("ca of 100.64.0.0/26", "ca of 100.64.0.128/26")

		d.lie = 1 << 48
		step(true)
		d.lie = 0
		d.set(tenant("c", "100.64.0.192/26"))
		step(false)
		trusts("ca of 100.64.0.0/26", "ca of 100.64.0.128/26", "ca of 100.64.0.192/26")

		// A node that was restored is behind, and nothing is taken from it.
		at := d.h
		d.lie, d.newest = 1, time.Now().Add(-time.Hour)
		step(true)
		d.lie, d.newest = 0, time.Time{}
		d.h = at
		step(false)
		trusts("ca of 100.64.0.0/26", "ca of 100.64.0.128/26", "ca of 100.64.0.192/26")
	})
}

type node struct {
	trusts  []Trusted
	reloads int
	err     error
}

func (n *node) Trust(all []Trusted) error {
	if n.err != nil {
		return n.err
	}
	n.trusts = all
	n.reloads++
	return nil
}

func admit(ca []byte, networks []netip.Prefix) error {
	if string(ca) != "ca of "+networks[0].String() {
		return errors.New("networks differ")
	}
	return nil
}

func tenant(owner, network string) mesh.Tenant {
	return mesh.Tenant{Owner: owner, Networks: []netip.Prefix{netip.MustParsePrefix(network)}, CACertificate: []byte("ca of " + network)}
}

func TestFollowerTrustsWhatTheRuleAdmits(t *testing.T) {
	d := &directory{at: map[string]int64{}, all: map[string]mesh.Tenant{}}
	n := &node{}
	f := New(d, admit, n, time.Second, slog.New(slog.DiscardHandler))
	a, b, thief := tenant("a", "100.64.0.0/26"), tenant("b", "100.64.0.64/26"), tenant("thief", "100.64.0.128/26")
	thief.CACertificate = a.CACertificate // claims another tenant's networks
	a.Revoked = [][]byte{{2}, {1}}
	b.Revoked = [][]byte{{1}}
	none := tenant("none", "100.64.0.192/26")
	none.CACertificate = nil
	for _, e := range []mesh.Tenant{a, b, thief, none} {
		d.set(e)
	}
	if err := f.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(n.trusts) != 2 || string(n.trusts[0].CA) != string(a.CACertificate) || string(n.trusts[1].CA) != string(b.CACertificate) {
		t.Fatalf("trusted %q; want those of a and b", n.trusts)
	}
	if trusted, refused := f.Counts(); trusted != 2 || refused != 1 {
		t.Fatalf("counts %d trusted, %d refused; want 2 and 1", trusted, refused)
	}
	if got := n.trusts; !slices.EqualFunc(got[0].Revoked, a.Revoked, bytes.Equal) || !slices.EqualFunc(got[1].Revoked, b.Revoked, bytes.Equal) {
		t.Fatalf("revocations %v; want each tenant's own", got)
	}
	if err := f.Step(t.Context()); err != nil || n.reloads != 1 {
		t.Fatalf("a step without changes: err %v, %d reloads; want none more than 1", err, n.reloads)
	}
	d.set(mesh.Tenant{Owner: "b"}) // released
	if err := f.Step(t.Context()); err != nil || len(n.trusts) != 1 {
		t.Fatalf("after release: err %v, %d CAs; want 1", err, len(n.trusts))
	}
}

func TestFollowerForgetsNothingWhenAReloadFails(t *testing.T) {
	d := &directory{at: map[string]int64{}, all: map[string]mesh.Tenant{}}
	n := &node{err: errors.New("no")}
	f := New(d, admit, n, time.Second, slog.New(slog.DiscardHandler))
	d.set(tenant("a", "100.64.0.0/26"))
	if err := f.Step(t.Context()); err == nil || f.Synced() {
		t.Fatalf("a failed reload counts as done: err %v", err)
	}
	n.err = nil
	if err := f.Step(t.Context()); err != nil || len(n.trusts) != 1 {
		t.Fatalf("after the retry: err %v, %d CAs; want 1", err, len(n.trusts))
	}
	d.fail(errors.New("chain away"))
	if err := f.Step(t.Context()); err == nil {
		t.Fatal("a failed query is no error")
	}
	if len(n.trusts) != 1 {
		t.Fatal("a failed query dropped tenants")
	}
}

// A revocation is heeded within an interval of the node's return, however long it was away.
func TestRunDoesNotBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &directory{at: map[string]int64{}, all: map[string]mesh.Tenant{}, err: errors.New("chain away")}
		n := &node{}
		f := New(d, admit, n, time.Second, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		time.Sleep(time.Minute + time.Millisecond)
		synctest.Wait()
		d.fail(nil)
		a := tenant("a", "100.64.0.0/26")
		a.Revoked = [][]byte{{1}}
		d.set(a)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(n.trusts) != 1 || len(n.trusts[0].Revoked) != 1 {
			t.Errorf("a second after the node's return %v is trusted", n.trusts)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
