package chaintest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
)

// ids of what changed, sorted.
func ids(c agent.Changes) []vm.ID {
	list := make([]vm.ID, 0, len(c.VMs))
	for _, v := range c.VMs {
		list = append(list, v.ID)
	}
	slices.Sort(list)
	return list
}

func sorted(list ...vm.ID) []vm.ID {
	slices.Sort(list)
	return list
}

// follow: whoever asks from where the last answer ended is told of each change, and of no report that only confirms.
func follow(t *testing.T, h *Harness) {
	one, two := h.up(t), h.up(t)
	all := h.changes(t, 0)
	if !all.Full || !slices.Equal(ids(all), sorted(one, two)) || len(all.Released) != 0 {
		t.Fatalf("everything is %+v", all)
	}
	if again := h.changes(t, -5); !again.Full || !slices.Equal(ids(again), ids(all)) {
		t.Fatalf("from before the first block: %+v", again)
	}
	if all.Head.Height <= 0 || all.Head.Height > all.Height || len(all.Head.Hash) != 32 || all.Head.Time == 0 {
		t.Fatalf("the head is %+v at height %d", all.Head, all.Height)
	}
	at := all.Height
	next := func(what string, want ...vm.ID) agent.Changes {
		t.Helper()
		c := h.changes(t, at)
		if c.Full || c.Height < at || !slices.Equal(ids(c), sorted(want...)) {
			t.Fatalf("%s: %d changes to %d (full %v) are %v, want %v", what, at, c.Height, c.Full, ids(c), want)
		}
		at = c.Height
		return c
	}
	next("nothing happened")
	h.report(t, h.proven(t, h.says(t, one, vm.Running)))
	next("a report that confirms")
	failing := h.says(t, one, vm.Running)
	failing.Reason = "hypervisor_down"
	h.report(t, failing)
	next("another reason for the same phase")
	h.Order(t, one, vm.Reboot)
	if c := next("an order", one); c.VMs[0].Spec.RebootSeq != 1 || len(c.VMs[0].AuthorizedKeys) == 0 || len(c.VMs[0].Instances) != 1 {
		t.Fatalf("told as %+v", c.VMs[0])
	}
	h.report(t, h.proven(t, h.says(t, one, vm.Running)))
	h.Resize(t, two, false)
	next("a report that moves it, and an order", one, two)
	h.report(t, h.proven(t, h.says(t, two, vm.Running)))
	three := h.Create(t, vm.AgentGuest)
	early := at
	next("another VM", three)
	h.Order(t, two, vm.Terminate)
	next("an end", two)
	at = early
	next("what was told is told again", two, three)
	h.Pass(t, 20*time.Second)
	if c := h.changes(t, at+1_000_000); c.Full || len(c.VMs) != 0 || c.Height >= at+1_000_000 {
		t.Fatalf("a node that is behind the cursor says %+v", c)
	}
}

// released: what left the miner is told once to each who follows, and is no part of everything.
func released(t *testing.T, h *Harness) {
	stays, ended, failing := h.up(t), h.up(t), h.Create(t, vm.AgentGuest)
	h.Order(t, ended, vm.Terminate)
	at := h.changes(t, 0).Height
	h.report(t, h.says(t, ended, vm.Terminated))
	h.report(t, h.says(t, failing, vm.Failed))
	c := h.changes(t, at)
	slices.Sort(c.Released)
	if c.Full || len(c.VMs) != 0 || !slices.Equal(c.Released, sorted(ended, failing)) {
		t.Fatalf("after the end of two: %+v", c)
	}
	if next := h.changes(t, c.Height); len(next.Released) != 0 || len(next.VMs) != 0 {
		t.Fatalf("told twice: %+v", next)
	}
	if all := h.changes(t, 0); !all.Full || !slices.Equal(ids(all), []vm.ID{stays}) || len(all.Released) != 0 {
		t.Fatalf("everything is %+v", all)
	}
	h.Forget(t)
	c = h.changes(t, at)
	if !c.Full || slices.Contains(ids(c), ended) {
		t.Fatalf("from a cursor older than is remembered: %+v", c)
	}
	if c = h.changes(t, c.Height); c.Full || len(c.VMs) != 0 {
		t.Fatalf("from there on: %+v", c)
	}
}

// everywhere tells the same of a VM as the changes do, and fails for one that nobody knows.
func everywhere(t *testing.T, h *Harness) {
	id := h.up(t)
	all, err := h.Chain.Everywhere(t.Context(), id)
	if err != nil || len(all) == 0 {
		t.Fatalf("%v, %v", all, err)
	}
	want := h.held(t, id)
	for _, v := range all {
		if v.ID != id || v.Generation != want.Generation || v.Status.Phase != want.Status.Phase || v.Status.Miner != h.Miner ||
			v.Status.InstanceSeq != want.Status.InstanceSeq || v.ChangedHeight != want.ChangedHeight {
			t.Errorf("an endpoint says %+v; the miner was told %+v", v, want)
		}
	}
	if all, err = h.Chain.Everywhere(t.Context(), vm.ID(strings.Repeat("cd", 16))); err == nil {
		t.Errorf("of a VM that nobody knows: %+v", all)
	}
}
