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
