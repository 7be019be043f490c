package computetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

const (
	pulse   = 17_300 // ucredit an hour
	pulseHD = 1300
	// onPulseDisk is spark's vCPU and memory with the disk of pulse.
	onPulseDisk = 9300
	roomyRate   = 9500
)

// roomy adds a plan that is spark with a larger disk.
func roomy(g *app.Genesis) {
	p := plan.Defaults()[0]
	p.Name, p.DiskGiB, p.Order = "roomy", 30, 9
	g.Plans = append(plan.Defaults(), p)
}

func resize(a apptest.Account, id, to string) *computetypes.MsgResizeVM {
	return &computetypes.MsgResizeVM{Owner: a.Address, VmId: id, Plan: to}
}

// resized orders a resize and returns whether the VM is restarted for it.
func (w *world) resized(a apptest.Account, id, to string) bool {
	w.t.Helper()
	var r computetypes.MsgResizeVMResponse
	if err := w.MustDeliver(a, resize(a, id, to)).Response(0, &r); err != nil {
		w.t.Fatal(err)
	}
	return r.Restart
}

// before is a proven report of a miner that has not carried the newest order out.
func (w *world) before(id string) computetypes.VMReport {
	w.t.Helper()
	r := w.proven(w.says(id, vm.Running))
	r.SizeGeneration--
	return r
}

func (w *world) held(a apptest.Account) uint64 {
	w.t.Helper()
	r, err := w.market.Meter(w.Ctx(), &markettypes.QueryMeterRequest{Account: a.Address})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Meter.DiskRate
}

// A running VM is restarted into its new size. The old rate is charged up to
// the first proof of the new size, to the second, and the new one from there.
func TestResizeWithRestart(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	w.NextBlock(10)
	if !w.resized(a, id, "pulse") {
		t.Fatal("two vCPUs without a restart")
	}
	v := w.is(id, vm.Rebooting, vm.ReasonResize)
	if v.Spec.Plan != "pulse" || v.Resize == nil || v.Size_.Vcpus != 1 || v.RunningRate != spark {
		t.Fatalf("ordered: %+v", v)
	}
	if u := w.registered(m).Usage; u.Vms != 1 || u.Vcpus != 2 || u.MemoryMib != 4096 || u.DiskGib != 26 {
		t.Fatalf("the capacity was not taken at the order: %+v", u)
	}
	if w.rate(a) != spark || w.held(a) != pulseHD {
		t.Fatalf("the rate is %d, held back for %d", w.rate(a), w.held(a))
	}

	// The VM still runs in its old size: it is charged as it is.
	w.NextBlock(7)
	w.report(w.before(id))
	w.is(id, vm.Rebooting, "")
	if got := w.billed(a); got != 17*spark || w.rate(a) != spark {
		t.Fatalf("billed %d at rate %d", got, w.rate(a))
	}
	// It is up again, says its miner, but its guest has not proven itself: nothing changes yet.
	w.NextBlock(20)
	unproven := w.says(id, vm.Running)
	w.report(unproven)
	if v := w.vm(id); v.Resize == nil || w.rate(a) != spark {
		t.Fatalf("in effect without a proof: %+v", v)
	}
	w.NextBlock(3)
	w.report(w.proven(w.says(id, vm.Running)))
	v = w.is(id, vm.Running, "")
	if v.Resize != nil || v.Size_.Vcpus != 2 || v.Size_.MemoryMib != 4096 || v.Size_.DiskGib != 26 || v.RunningRate != pulse || v.StoppedRate != pulseHD {
		t.Fatalf("in effect: %+v", v)
	}
	if got := w.billed(a); got != 40*spark || w.rate(a) != pulse {
		t.Fatalf("billed %d at rate %d; want %d at %d", got, w.rate(a), 40*spark, pulse)
	}
	if e := w.Events(computetypes.EventVMResized); len(e) != 1 || e[0][computetypes.AttributePlan] != "pulse" {
		t.Fatalf("events %v", e)
	}
	w.NextBlock(30)
	w.report(w.proven(w.says(id, vm.Running)))
	if got := w.billed(a); got != 40*spark+30*pulse {
		t.Fatalf("billed %d, want %d", got, 40*spark+30*pulse)
	}
	// A proof covers 80 seconds before it.
	w.NextBlock(81)
	w.report(w.proven(w.says(id, vm.Running)))
	if got := w.billed(a); got != 40*spark+110*pulse {
		t.Fatalf("billed %d for unattested time", got)
	}
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	w.report(w.says(id, vm.Terminated))
	if u := w.registered(m).Usage; u != (registrytypes.Usage{}) || w.held(a) != 0 {
		t.Fatalf("left: %+v, held back for %d", u, w.held(a))
	}
}

// A restart that takes longer than a proof covers is charged as far as it does, at the old rate.
func TestResizeRestartThatTakesLong(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	w.resized(a, id, "pulse")
	w.NextBlock(81)
	w.report(w.proven(w.says(id, vm.Running)))
	if got := w.billed(a); got != 80*spark || w.rate(a) != pulse {
		t.Fatalf("billed %d at rate %d", got, w.rate(a))
	}
}

// The disk alone grows while the VM runs.
func TestResizeOnline(t *testing.T) {
	w := newWorld(t, nil, roomy)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	w.NextBlock(5)
	if w.resized(a, id, "roomy") {
		t.Fatal("a larger disk with a restart")
	}
	if v := w.is(id, vm.Running, ""); v.Resize.Restart || w.registered(m).Usage.DiskGib != 30 {
		t.Fatalf("%+v", v.Resize)
	}
	w.NextBlock(5)
	w.report(w.before(id))
	if got := w.billed(a); got != 10*spark || w.rate(a) != spark {
		t.Fatalf("billed %d at %d before the disk grew", got, w.rate(a))
	}
	w.NextBlock(5)
	w.report(w.proven(w.says(id, vm.Running)))
	w.NextBlock(10)
	w.report(w.proven(w.says(id, vm.Running)))
	if got := w.billed(a); got != 15*spark+10*roomyRate || w.vm(id).Size_.DiskGib != 30 {
		t.Fatalf("billed %d, want %d", got, 15*spark+10*roomyRate)
	}
	// A larger one is asked for before the last is in effect: only the last counts.
	w.resized(a, id, "pulse")
	w.is(id, vm.Rebooting, vm.ReasonResize)
	if v := w.vm(id); v.Resize.Size_.DiskGib != 30 {
		t.Fatalf("the disk would shrink: %+v", v.Resize)
	}
}

// With a smaller plan CPU and memory go down; the disk stays and is paid for as it is.
func TestResizeDownKeepsTheDisk(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0", small(2))
	a := w.tenant("tenant")
	id := w.running(a, "web-1", func(c *computetypes.MsgCreateVM) { c.Spec.Plan = "pulse" })
	other := w.create(a, "web-2")
	w.is(other, vm.Pending, vm.ReasonNoCapacity)
	// Being short of what a creation takes is no reason to go on paying more.
	meter, err := w.market.Meter(w.Ctx(), &markettypes.QueryMeterRequest{Account: a.Address})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.App.Keepers.Credits.Consume(w.Ctx(), a.Address, meter.BalanceUcredit-credit.PerCredit, m.Address); err != nil {
		t.Fatal(err)
	}
	w.resized(a, id, "spark")
	if u := w.registered(m).Usage; u.Vcpus != 2 || u.DiskGib != 26 {
		t.Fatalf("the capacity was given back before it was free: %+v", u)
	}
	w.report(w.proven(w.says(id, vm.Running)))
	v := w.vm(id)
	if v.Size_.Vcpus != 1 || v.Size_.MemoryMib != 2048 || v.Size_.DiskGib != 26 || v.RunningRate != onPulseDisk || v.StoppedRate != pulseHD {
		t.Fatalf("%+v", v)
	}
	if u := w.registered(m).Usage; u.Vcpus != 1 || u.MemoryMib != 2048 || u.DiskGib != 26 {
		t.Fatalf("usage %+v", u)
	}
	w.refused(computetypes.ErrSameSize, a, resize(a, id, "spark"))
	w.refused(markettypes.ErrInsufficient, a, resize(a, id, "pulse"))
}

// A stopped VM takes its new size with its next start, and pays for its old disk until then.
func TestResizeStopped(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
	w.report(w.says(id, vm.Stopped))
	if w.resized(a, id, "pulse") {
		t.Fatal("what is off is not restarted")
	}
	w.is(id, vm.Stopped, vm.ReasonTenant)
	w.NextBlock(20)
	w.report(w.says(id, vm.Stopped))
	if got := w.billed(a); got != 20*sparkHD || w.rate(a) != sparkHD {
		t.Fatalf("billed %d at %d", got, w.rate(a))
	}
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.NextBlock(10)
	w.report(w.proven(w.says(id, vm.Running)))
	w.NextBlock(10)
	w.report(w.proven(w.says(id, vm.Running)))
	if got := w.billed(a); got != 20*sparkHD+10*pulse {
		t.Fatalf("billed %d, want %d", got, 20*sparkHD+10*pulse)
	}
}

func TestResizeRefusals(t *testing.T) {
	w := newWorld(t, nil, roomy)
	m := w.miner("miner0", small(2), func(m *registrytypes.MsgRegisterMiner) { m.Capacity.DiskGib = 100 })
	w.miner("miner1")
	a := w.tenant("tenant")
	pin := func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{m.Address} }
	id := w.running(a, "web-1", pin)
	w.running(a, "web-2", pin)

	w.refused(markettypes.ErrUnknownPlan, a, resize(a, id, "colossus"))
	w.refused(computetypes.ErrSameSize, a, resize(a, id, "spark"))
	_, err := w.Deliver(a, resize(a, id, "pulse"))
	w.refused(computetypes.ErrHostFull, a, resize(a, id, "pulse"))
	for _, words := range []string{"lacks the capacity for 2 vCPUs, 4096 MiB of memory and 26 GiB of disk", "available are 3, 2048 and 82", "choose a smaller plan, or create another VM"} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v does not say %q", err, words)
		}
	}
	if v := w.is(id, vm.Running, ""); v.Resize != nil || v.Spec.Plan != "spark" || v.Generation != 1 || w.held(a) != 2*sparkHD {
		t.Fatalf("a refusal left a trace: %+v", v)
	}
	ahead := w.proven(w.says(id, vm.Running))
	ahead.SizeGeneration = 2
	if _, err := w.try(m, ahead); !errors.Is(err, computetypes.ErrBadReport) {
		t.Errorf("a size that nobody ordered is in effect: %v", err)
	}
	// While it restarts it is not resized again.
	w.report(w.proven(w.says(id, vm.Running)))
	w.resized(a, id, "roomy")
	w.resized(a, id, "roomy") // asked twice, ordered twice, charged once
	w.MustDeliver(a, &computetypes.MsgRebootVM{Owner: a.Address, VmId: id})
	w.refused(computetypes.ErrWrongPhase, a, resize(a, id, "spark"))
}

func rebuild(a apptest.Account, id, from string) *computetypes.MsgRebuildVM {
	return &computetypes.MsgRebuildVM{Owner: a.Address, VmId: id, Image: from}
}

func TestRebuild(t *testing.T) {
	w := newWorld(t, nil, func(g *app.Genesis) { g.Images = append(g.Images, image("tiny", 1)) })
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	w.NextBlock(30)
	old := w.vm(id)
	late := w.proven(w.says(id, vm.Running))
	var r computetypes.MsgRebuildVMResponse
	if err := w.MustDeliver(a, rebuild(a, id, "tiny")).Response(0, &r); err != nil {
		t.Fatal(err)
	}
	v := w.is(id, vm.Provisioning, vm.ReasonTenant)
	if r.InstanceSeq != 2 || v.Status.InstanceSeq != 2 || v.Status.RebuildInstance != 2 || v.Status.HasData || v.Status.ReadyAt != 0 {
		t.Fatalf("rebuilt: %+v", v.Status)
	}
	if v.Spec.Image != "tiny" || v.Spec.Name != "web-1" || v.Spec.MeshAddress != old.Spec.MeshAddress || v.Status.Miner != m.Address || !slices.Equal(v.Spec.HostCa, old.Spec.HostCa) {
		t.Fatalf("rebuilt: %+v", v.Spec)
	}
	if got := w.billed(a); got != 30*spark || w.rate(a) != 0 {
		t.Fatalf("billed %d at rate %d", got, w.rate(a))
	}
	// What could be read on the old disk is worth nothing any more.
	if revoked := w.block(a).Revoked; len(revoked) != 1 || !slices.Equal(revoked[0], v.Instances[0].MeshCertFingerprint) {
		t.Fatalf("revoked are %x", revoked)
	}
	if _, err := w.try(m, late); err == nil {
		t.Fatal("the old instance was heard")
	}
	w.NextBlock(40)
	if w.billed(a) != 30*spark {
		t.Fatal("charged while it was rebuilt")
	}
	w.report(w.proven(w.says(id, vm.Running)))
	w.NextBlock(10)
	w.report(w.proven(w.says(id, vm.Running)))
	if v := w.is(id, vm.Running, ""); !v.Status.HasData || w.billed(a) != 40*spark {
		t.Fatalf("billed %d: %+v", w.billed(a), v.Status)
	}
	// Stopped, it is rebuilt too, and comes up.
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
	w.report(w.says(id, vm.Stopped))
	w.MustDeliver(a, rebuild(a, id, "debian-12"))
	if v := w.is(id, vm.Provisioning, vm.ReasonTenant); v.Status.InstanceSeq != 3 || v.Spec.Power != computetypes.Power_POWER_ON {
		t.Fatalf("%+v", v)
	}
}

// A rebuilt VM has no data that would keep it where it cannot come up.
func TestRebuildThatFailsGoesElsewhere(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	w.miner("miner1")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	first := w.holder(id)
	w.report(w.says(id, vm.Failed)) // its disk is broken
	w.is(id, vm.Failed, "")
	w.MustDeliver(a, rebuild(a, id, "debian-12"))
	r := w.says(id, vm.Failed)
	r.Reason = "no_space"
	w.report(r)
	if v := w.is(id, vm.Assigned, ""); v.Status.Miner == first.Address || v.Status.InstanceSeq != 3 || v.Status.RebuildInstance != 2 {
		t.Fatalf("%+v", v.Status)
	}
	w.boot(id)
}

func TestRebuildRefusals(t *testing.T) {
	arm := image("arm", 1)
	arm.Arch = "arm64"
	w := newWorld(t, nil, func(g *app.Genesis) {
		g.Images = append(g.Images, arm)
		g.Apps = append(g.Apps, plan.App{Name: "deb", Recipe: "x", Images: []string{"debian-12"}})
	})
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1", func(c *computetypes.MsgCreateVM) {
		c.Spec.Apps, c.Instances = []string{"deb"}, c.Instances[:1]
	})
	w.refused(markettypes.ErrUnknownImage, a, rebuild(a, id, "plan9"))
	w.refused(computetypes.ErrAppImage, a, rebuild(a, id, "huge"))
	w.refused(computetypes.ErrInstances, a, rebuild(a, id, "debian-12"))
	w.MustDeliver(a, &computetypes.MsgDealInstances{Owner: a.Address, VmId: id, Instances: w.instances(a.Address, id, 2, 1)})
	plain := w.running(a, "web-2")
	w.refused(computetypes.ErrImageTooLarge, a, rebuild(a, plain, "huge"))
	w.refused(computetypes.ErrImageArch, a, rebuild(a, plain, "arm"))
	// A disk that is on its way counts.
	w.resized(a, plain, "pulse")
	w.MustDeliver(a, rebuild(a, plain, "huge"))
	w.report(w.proven(w.says(plain, vm.Running)))
	if v := w.vm(plain); v.Size_.DiskGib != 26 || w.rate(a) != spark+pulse {
		t.Fatalf("%+v", v)
	}
	if v := w.is(id, vm.Running, ""); v.Status.InstanceSeq != 1 || len(w.block(a).Revoked) != 1 {
		t.Fatalf("a refusal left a trace: %+v", v.Status)
	}
	w.MustDeliver(a, rebuild(a, id, "debian-12"))
}
