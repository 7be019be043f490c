package computetest

import (
	"cmp"
	"flag"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// runoutVMs run out at the same time. Of 100 000 the worst block takes 200 ms at most; see docs/figures.md.
var runoutVMs = flag.Int("runout.vms", 600, "VMs that run out at the same time in TestRunOutOfMany")

const (
	// eachOwner has so many VMs.
	eachOwner = 40
	// What a block's end does, in VMs: the meters' budget counts an account's VMs four times if they are stopped or terminated,
	// and the last account of a block is finished; so many deadlines are looked at.
	mostSettled   = 500
	fewestStopped = mostSettled / 4
	mostStopped   = fewestStopped - 1 + eachOwner
	mostReleased  = 150
)

// stage is what became of VMs in a row of blocks.
type stage struct {
	order  []string // of their ids
	ends   []int    // of each block in it
	blocks int
	took   []time.Duration // by each block
}

// worst block, and the median.
func (s stage) worst() time.Duration  { return slices.Max(s.took) }
func (s stage) median() time.Duration { return slices.Sorted(slices.Values(s.took))[len(s.took)/2] }

// after seconds the VMs come to a phase: at most so many in a block, none twice, and all in as few blocks as that takes. The blocks
// that follow are a second apart.
func (p *populated) after(seconds int64, to vm.Phase, most, fewest int) (s stage) {
	p.t.Helper()
	if len(p.ids) > 1000 { // the state is in the process's memory: collecting garbage there is no part of a block
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
	}
	seen := map[string]bool{}
	for len(s.order) < len(p.ids) {
		if s.blocks > (len(p.ids)+fewest-1)/fewest {
			p.t.Fatalf("%s: %d of %d VMs are %s after %d blocks", p, len(s.order), len(p.ids), to, s.blocks)
		}
		if s.blocks%16 == 0 && len(p.ids) > 1000 {
			runtime.GC()
		}
		p.NextBlock(seconds)
		seconds = 1
		n := 0
		for _, e := range p.Events(computetypes.EventVMPhase) {
			id := e[computetypes.AttributeVM]
			if e[computetypes.AttributePhase] != to.String() {
				continue
			}
			if seen[id] {
				p.t.Fatalf("%s: VM %s came to %s twice", p, id, to)
			}
			seen[id] = true
			s.order = append(s.order, id)
			n++
		}
		if n > most {
			p.t.Fatalf("%s: %d VMs came to %s in one block; at most %d", p, n, to, most)
		}
		if len(p.ids) <= 1000 {
			if err := p.App.CheckInvariants(p.Ctx()); err != nil {
				p.t.Fatalf("%s: %v", p, err)
			}
		}
		s.blocks++
		s.ends = append(s.ends, len(s.order))
		s.took = append(s.took, p.Took())
	}
	return s
}

// byQueue are the VMs in the order in which their owners' meters are due; sorted orders those of one owner.
func (p *populated) byQueue(sorted func(a, b computetypes.VM) int) (ids []string) {
	p.t.Helper()
	type owned struct {
		due   int64
		owner string
		vms   []computetypes.VM
	}
	list := make([]owned, 0, len(p.owners))
	for i, a := range p.owners {
		o := owned{due: p.statement(a).Meter.NextDue, owner: a.Address}
		for _, id := range p.ids[i*eachOwner : (i+1)*eachOwner] {
			v, err := p.App.Keepers.Compute.VM(p.Ctx(), id)
			if err != nil {
				p.t.Fatal(err)
			}
			o.vms = append(o.vms, v)
		}
		slices.SortFunc(o.vms, sorted)
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b owned) int { return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.owner, b.owner)) })
	for _, o := range list {
		for _, v := range o.vms {
			ids = append(ids, v.Id)
		}
	}
	return ids
}

func (p *populated) wantOrder(s stage, want []string) {
	p.t.Helper()
	for i := range want {
		if s.order[i] != want[i] {
			p.t.Fatalf("VM %d of %d is %s, want %s", i, len(want), s.order[i], want[i])
		}
	}
}

// runOut has all owners run out at the same time, and all their VMs stopped.
func (p *populated) runOut() stage {
	p.t.Helper()
	p.drain(0, p.owners...)
	want := p.byQueue(func(a, b computetypes.VM) int {
		return cmp.Or(cmp.Compare(a.Spec.Priority, b.Spec.Priority), cmp.Compare(a.Id, b.Id))
	})
	s := p.after(10, vm.Stopping, mostStopped, fewestStopped) // by when all are due
	p.wantOrder(s, want)
	return s
}

// spend uses up what is held back, and lets the time pass until the disks are terminated, all at once.
func (p *populated) spend() stage {
	p.t.Helper()
	p.reportAll(func(r *computetypes.VMReport) { r.Phase = computetypes.PhaseOf(vm.Stopped) })
	for i, a := range p.owners {
		if p.leave(a, 0); i%50 == 49 {
			p.NextBlock(0) // reading in order is slow among what is not committed
		}
	}
	// The first notice was given. The second follows within an hour and the blocks that settle all.
	p.NextBlock(3600 + 60)
	for range len(p.ids)/fewestStopped + 1 {
		p.NextBlock(1)
	}
	return p.after(25*3600, vm.Terminating, mostStopped, fewestStopped) // all are due
}

// Many VMs run out in the same block, and later their disks are terminated, and released, in the same block: each block does a
// bounded number of VMs, the others follow in order, and none is left.
func TestRunOutOfMany(t *testing.T) {
	p := populate(t, *runoutVMs/eachOwner, eachOwner)
	stopped := p.runOut()
	t.Logf("%d VMs are stopped in %d blocks, the worst of %s, the median %s", len(p.ids), stopped.blocks, stopped.worst(), stopped.median())
	for _, id := range p.ids {
		v, err := p.App.Keepers.Compute.VM(p.Ctx(), id)
		if err != nil || v.Status.Phase.Core() != vm.Stopping || v.Status.Reason != vm.ReasonCreditRunOut || v.Spec.Power != computetypes.Power_POWER_OFF {
			t.Fatalf("%+v, %v", v.Status, err)
		}
	}
	ended := p.spend()
	t.Logf("they are terminated in %d blocks, the worst of %s, the median %s", ended.blocks, ended.worst(), ended.median())

	while := int64(ended.blocks) // they are terminated, a second each
	p.pass(24*3600 - while - 10)
	released := p.after(while+10, vm.Terminated, mostReleased, mostReleased)
	t.Logf("they are released in %d blocks, the worst of %s, the median %s", released.blocks, released.worst(), released.median())
	for i, first := 0, 0; i < len(ended.ends); i++ { // those of a block by their ids
		slices.Sort(ended.order[first:ended.ends[i]])
		first = ended.ends[i]
	}
	p.wantOrder(released, ended.order)
	for _, a := range p.owners {
		if st := p.statement(a); st.UcreditPerHour != 0 || st.OwedUnits >= 3600 {
			t.Fatalf("%s pays %d an hour and owes %d units", a.Name, st.UcreditPerHour, st.OwedUnits)
		}
	}
	if err := p.App.CheckInvariants(p.Ctx()); err != nil {
		t.Fatal(err)
	}
}
