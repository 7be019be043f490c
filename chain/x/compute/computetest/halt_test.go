package computetest

import (
	"testing"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// pass lets seconds pass in blocks that no deadline of as many takes for a halt.
func (w *world) pass(seconds int64) {
	w.t.Helper()
	for range 3 {
		w.NextBlock(seconds / 3)
	}
	if left := seconds % 3; left > 0 {
		w.NextBlock(left)
	}
}

// While the chain halts nobody can report, so a halt is no absence of a miner: what it has to do in a time it has that time for from
// the end of the halt on.
func TestHaltIsNobodysAbsence(t *testing.T) {
	for _, c := range []struct {
		phase vm.Phase
		data  bool
		// halt in seconds, and how long from its end on the VM stays in its phase.
		halt, stays int64
	}{
		{vm.Assigned, false, 3600, 30},
		{vm.Provisioning, false, 2 * 3600, 1800},
		{vm.Running, false, 2 * 3600, 1800},
		{vm.Running, true, 8 * day, 7 * day},
		{vm.Stopped, true, 8 * day, 7 * day},
		{vm.Terminating, true, 2 * day, day},
	} {
		w := newWorld(t, nil)
		w.Break() // a halt of days spends what is held back; this is of hosts
		w.miner("miner0")
		a := w.tenant("tenant")
		var id string
		switch {
		case c.data:
			id = w.running(a, "web-1")
		default:
			id = w.create(a, "web-1")
		}
		switch {
		case c.phase == vm.Provisioning:
			w.report(w.says(id, c.phase))
		case c.phase == vm.Running && !c.data:
			w.report(w.says(id, vm.Provisioning))
			w.report(w.says(id, c.phase))
		case c.phase == vm.Stopped:
			w.off(a, id)
		case c.phase == vm.Terminating:
			w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
		}
		w.is(id, c.phase, w.vm(id).Status.Reason)
		w.NextBlock(c.halt)
		w.pass(c.stays - 1)
		if got := w.vm(id).Status.Phase.Core(); got != c.phase {
			t.Fatalf("%s, data %t: %s after the halt", c.phase, c.data, got)
		}
		w.pass(c.stays)
		if got := w.vm(id).Status; got.Phase.Core() == c.phase && got.Miner != "" {
			t.Errorf("%s, data %t: it waits for ever", c.phase, c.data)
		}
	}
}

// The time from an export to the first block of a chain that begins anew from it is a halt too.
func TestTimeBeforeAChainBeginsAnewIsAHalt(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	waits, starts := w.create(a, "waits"), w.create(a, "starts")
	w.report(w.says(starts, vm.Provisioning))
	w.NextBlock(1) // a head from before the export
	if d := max(w.vm(waits).Status.Deadline, w.vm(starts).Status.Deadline); d >= w.Now()+2*3600 {
		t.Fatalf("no deadline ends before %d", d)
	}
	b, ctx, _ := w.anew(2 * 3600)
	now := ctx.BlockTime().Unix()
	for id, want := range map[string]vm.Phase{waits: vm.Assigned, starts: vm.Provisioning} {
		v, err := b.Keepers.Compute.VM(ctx, id)
		if err != nil || v.Status.Phase.Core() != want || v.Status.Deadline <= now || v.Status.Deadline > now+3600 {
			t.Errorf("a VM that was %s is %s until %d, at %d: %v", want, v.Status.Phase.Core(), v.Status.Deadline, now, err)
		}
	}
	if g, err := b.Keepers.Compute.ExportGenesis(ctx); err != nil || len(g.Halts) != 1 || g.Halts[0].Seconds != 2*3600 || g.Halts[0].EndedAt != now {
		t.Errorf("halts that are remembered at %d: %v, %v", now, g.Halts, err)
	}
}

// The time of a halt is no run of a guest: a miner that failed to start a VM, before it or after, is to blame.
func TestHaltIsNoRun(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	id := w.create(w.tenant("tenant"), "web-1")
	w.report(w.says(id, vm.Provisioning))
	w.NextBlock(3600)
	w.fails(id, "start_failed")
	v := w.vm(id).Status
	if n := w.failed(m); n[0] != 1 || len(v.RanOn) != 0 || len(v.Suspects) != 0 {
		t.Errorf("%d failures, ran on %v, suspects are %v", n[0], v.RanOn, v.Suspects)
	}
}

// Where every block takes as long as a halt, deadlines still end.
func TestSlowBlocksHoldNoDeadlineOff(t *testing.T) {
	w := newWorld(t, map[string]string{"compute": `{"params":{"provision_timeout_seconds":10}}`})
	w.miner("miner0")
	id := w.create(w.tenant("tenant"), "web-1")
	for range 5 {
		w.NextBlock(6)
	}
	if v := w.vm(id).Status; v.Miner != "" {
		t.Errorf("it is still on the miner that says nothing, until %d, at %d", v.Deadline, w.Now())
	}
}

// Of many halts those are remembered that still count: each longer and earlier than the next.
func TestHaltsThatAreRemembered(t *testing.T) {
	w := newWorld(t, nil)
	halts := func() []computetypes.Halt {
		t.Helper()
		g, err := w.App.Keepers.Compute.ExportGenesis(w.Ctx())
		if err != nil {
			t.Fatal(err)
		}
		return g.Halts
	}
	for s := int64(1000); s > 1000-2*computetypes.MaxHalts; s-- {
		w.NextBlock(s)
	}
	list := halts()
	if n := len(list); n < 2 || n > computetypes.MaxHalts || list[0].Seconds != 1001-2*computetypes.MaxHalts || list[0].EndedAt != w.Now() {
		t.Fatalf("%d are remembered: %v", n, list)
	}
	for i, h := range list[1:] {
		if h.Seconds <= list[i].Seconds || h.EndedAt >= list[i].EndedAt || w.Now() > h.EndedAt+2*h.Seconds {
			t.Errorf("halt %d: %v after %v", i+1, h, list[i])
		}
	}
	w.NextBlock(2000)
	if list = halts(); len(list) != 1 || list[0].Seconds != 2000 {
		t.Errorf("after a longer one: %v", list)
	}
}
