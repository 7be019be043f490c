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
	return out, d.h, nil
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
