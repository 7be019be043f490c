package computetest

import (
	"fmt"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
)

// assigned are those of some VMs that have a miner, and of a miner those that it holds.
func (w *world) assigned(ids []string) (held []string) {
	for _, id := range ids {
		if w.vm(id).Status.Phase.Core() == vm.Assigned {
			held = append(held, id)
		}
	}
	return held
}

// A miner holds four VMs on trial whatever it offers, until ten have proven themselves on it for an hour. Those that have stay.
func TestNewcomerHoldsFewVMs(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0", large("miner0"))
	a := w.tenant("tenant")
	var ids []string
	for i := range 12 {
		ids = append(ids, w.create(a, fmt.Sprint("web-", i)))
	}
	for round := range 3 {
		held := w.assigned(ids)
		if n, err := w.App.Keepers.Registry.RingSize(w.Ctx(), ""); len(held) != 4 || err != nil || n != 0 {
			t.Fatalf("round %d: %d VMs are assigned to a newcomer, and %d miners are on the ring: %v", round, len(held), n, err)
		}
		for _, id := range held {
			w.boot(id)
		}
		for range 58 {
			w.NextBlock(60)
			w.proveAll(m, held)
		}
		if r := w.registered(m).Record; r.Proven != uint64(4*round) {
			t.Fatalf("round %d: before the hour is over %+v", round, r)
		}
		for range 2 {
			w.NextBlock(63)
			w.proveAll(m, held)
		}
		w.NextBlock(15)
		w.proveAll(m, held) // counts once
		if r := w.registered(m).Record; r.Proven != uint64(4*(round+1)) || r.BootedParts != node.RecordParts*uint32(r.Proven) || r.FailedParts != 0 {
			t.Fatalf("round %d: %+v", round, r)
		}
	}
	var more []string
	for i := range 6 {
		more = append(more, w.create(a, fmt.Sprint("more-", i)))
	}
	if n := len(w.assigned(more)); n != 6 {
		t.Fatalf("%d of 6 VMs are assigned to a miner that has shown that it runs them", n)
	}
	// What it has shown stays with its account.
	w.miner("miner0", large("miner0"))
	if r := w.registered(m).Record; r.Proven != 12 {
		t.Fatalf("registered again: %+v", r)
	}
}

// proveAll has a miner report a proof of each VM.
func (w *world) proveAll(m apptest.Account, ids []string) {
	w.t.Helper()
	var reports []computetypes.VMReport
	for _, id := range ids {
		reports = append(reports, w.proven(w.says(id, vm.Running)))
	}
	results, err := w.try(m, reports...)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range results {
		if r.Code != 0 {
			w.t.Fatalf("%+v", r)
		}
	}
}

// A VM that is charged on its host's word shows nothing of its host.
func TestHostsWordProvesNoMiner(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.create(a, "web-1", func(c *computetypes.MsgCreateVM) { c.Spec.Agent = computetypes.AgentMode_AGENT_MODE_NONE })
	w.report(w.says(id, vm.Provisioning))
	for from := w.Now(); w.Now() < from+2*3600; w.NextBlock(59) {
		w.report(w.says(id, vm.Running))
	}
	if r := w.registered(m).Record; r.Proven != 0 || r.Trials != 0 {
		t.Fatalf("%+v", r)
	}
}
