package miner

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/record"
)

// noChain is one that does not answer.
type noChain struct{ agent.Chain }

func (noChain) Changes(context.Context, int64) (agent.Changes, error) {
	return agent.Changes{}, errors.New("no node answers")
}

// dump is all of a bucket as it is stored.
func dump(t *testing.T, db *store.DB, bucket string) map[string]string {
	t.Helper()
	out := map[string]string{}
	testkit.Check(t, db.View(func(tx *store.Tx) error {
		return store.NewBlobs(bucket).Each(tx, "", func(key string, value []byte) error { out[key] = string(value); return nil })
	}))
	return out
}

// testdata/schema1.db was written by the miner of the first schema, which kept VMs as the chain's messages: web-1 runs,
// web-2 is stopped and to be larger, web-3 was released. Nothing of it is lost, and it is there before the chain answers.
func TestMigrateFirstSchema(t *testing.T) {
	t.Parallel()
	packed, err := os.Open("testdata/schema1.db.gz")
	testkit.Check(t, err)
	defer func() { _ = packed.Close() }()
	unpacked, err := gzip.NewReader(packed)
	testkit.Check(t, err)
	data, err := io.ReadAll(unpacked)
	testkit.Check(t, err)
	path := filepath.Join(t.TempDir(), StateFile)
	testkit.Check(t, os.WriteFile(path, data, 0o600))
	old, err := store.Open(path)
	testkit.Check(t, err)
	kept := []string{"agent_released", "agent_cursor", "agent_local", "agent_proofs"}
	before := map[string]map[string]string{}
	for _, bucket := range kept {
		if before[bucket] = dump(t, old, bucket); len(before[bucket]) == 0 {
			t.Fatalf("%s is empty", bucket)
		}
	}
	testkit.Check(t, old.Close())

	db, err := store.Open(path, record.Migrations(client.DecodeStoredVM)...)
	testkit.Check(t, err)
	defer func() { testkit.Check(t, db.Close()) }()
	for _, bucket := range kept {
		if now := dump(t, db, bucket); !maps.Equal(now, before[bucket]) {
			t.Errorf("%s is now %v, was %v", bucket, now, before[bucket])
		}
	}
	var vms []vm.VM
	testkit.Check(t, db.View(func(tx *store.Tx) error {
		return store.NewBucket[vm.VM]("agent_vms").Each(tx, "", func(_ string, v vm.VM) error { vms = append(vms, v); return nil })
	}))
	slices.SortFunc(vms, func(a, b vm.VM) int { return int(a.ChangedHeight - b.ChangedHeight) })
	if len(vms) != 3 {
		t.Fatalf("%d VMs, want 3", len(vms))
	}
	for i, want := range []vm.Phase{vm.Running, vm.Stopped, vm.Running} {
		v := vms[i]
		if v.Status.Phase != want || v.Spec.On != (want == vm.Running) || v.Spec.RebootSeq != 1 || v.Generation != 3 || v.Status.InstanceSeq != 1 ||
			v.Spec.Agent != vm.AgentGuest || !v.Status.HasData || len(v.Instances) != 1 || len(v.Instances[0].GuestKey) != 32 ||
			v.Status.Attestation.ProofHeight != 7 || len(v.AuthorizedKeys) != 1 || v.Size != plan.Defaults()[0].Size {
			t.Errorf("VM %d is %+v", i, v)
		}
	}
	if r := vms[1].Resize; r == nil || r.Generation != 3 || !r.Restart || r.Size.VCPUs != 2 || r.Rates.Running != 17800 {
		t.Errorf("the resize is %+v", r)
	}

	a, err := agent.New(agent.Config{ChainID: "c", Miner: vms[0].Status.Miner}, agent.Parts{Chain: noChain{}, State: record.New(db), Log: slog.New(slog.DiscardHandler)})
	testkit.Check(t, err)
	turns, err := a.Turns()
	testkit.Check(t, err)
	if err := turns.Follow(t.Context()); err == nil {
		t.Error("the chain answered")
	}
	known, err := turns.VMs(t.Context())
	testkit.Check(t, err)
	if len(known) != 3 {
		t.Errorf("known are %v", known)
	}
	for i, v := range vms {
		owner, held, err := a.Owner(v.ID)
		testkit.Check(t, err)
		if held != (i != 2) || held && owner != v.Owner {
			t.Errorf("VM %d is held: %v, of %q", i, held, owner)
		}
	}
	// Once is enough.
	testkit.Check(t, db.Close())
	db, err = store.Open(path, record.Migrations(client.DecodeStoredVM)...)
	testkit.Check(t, err)
}

// A VM that cannot be read is not dropped.
func TestMigrateRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), StateFile)
	db, err := store.Open(path)
	testkit.Check(t, err)
	testkit.Check(t, db.Update(func(tx *store.Tx) error { return store.NewBlobs("agent_vms").Put(tx, "00", []byte("no message")) }))
	testkit.Check(t, db.Close())
	if db, err = store.Open(path, record.Migrations(client.DecodeStoredVM)...); err == nil {
		t.Errorf("it opens: %v", db.Close())
	}
}
