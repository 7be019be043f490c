package computetest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// small makes a miner with the capacity for so many sparks.
func small(n uint32) func(*registrytypes.MsgRegisterMiner) {
	return func(m *registrytypes.MsgRegisterMiner) {
		m.Capacity.Cores, m.Capacity.MemoryMib, m.Capacity.DiskGib = n, uint64(n)*2048, uint64(n)*18
	}
}

// fenced checks that the certificates of exactly the first so many instances are revoked: those of miners that had the
// VM and lost it, not the one in use.
func (w *world) fenced(a apptest.Account, v computetypes.VM, lost int) {
	w.t.Helper()
	revoked := w.block(a).Revoked
	if len(revoked) != lost {
		w.t.Fatalf("%d certificates are revoked; want those of %d instances", len(revoked), lost)
	}
	for i := range lost {
		if !bytes.Equal(revoked[i], v.Instances[i].MeshCertFingerprint) {
			w.t.Fatalf("instance %d is not revoked", i+1)
		}
	}
}

func TestNextMinerWhenOneDoesNotBegin(t *testing.T) {
	w := newWorld(t, nil)
	m0, m1 := w.miner("miner0"), w.miner("miner1")
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	first := w.holder(id)
	second := m0
	if first.Address == m0.Address {
		second = m1
	}
	w.alive(20, 10, m0, m1)
	if w.holder(id).Address != first.Address {
		t.Fatal("the miner was changed before its time")
	}
	late := w.says(id, vm.Provisioning)
	w.alive(10, 10, m0, m1)
	v := w.is(id, vm.Assigned, "")
	if v.Status.Miner != second.Address || v.Status.InstanceSeq != 2 || v.Status.Attempts != 2 || !slices.Equal(v.Status.Excluded, []string{first.Address}) {
		t.Fatalf("%+v", v.Status)
	}
	if w.registered(first).Usage.Vms != 0 || w.registered(second).Usage.Vms != 1 {
		t.Fatal("the usage was not moved")
	}
	if _, err := w.try(first, late); err == nil {
		t.Fatal("the late miner was heard")
	}
	w.fenced(a, v, 1)
	r, err := w.compute.MinerVMs(w.Ctx(), &computetypes.QueryMinerVMsRequest{Miner: first.Address, AfterHeight: 1})
	if err != nil || !slices.Equal(r.Released, []string{id}) {
		t.Fatalf("%+v, %v", r, err)
	}

	// Both failed it: they are tried again after a while, and at the fifth attempt it is given up.
	w.alive(30, 10, m0, m1)
	w.is(id, vm.Pending, vm.ReasonRetryWait)
	w.alive(30, 10, m0, m1)
	w.is(id, vm.Assigned, "")
	w.alive(200, 10, m0, m1)
	v = w.is(id, vm.Failed, vm.ReasonAttempts)
	if v.Status.Attempts != 5 || v.Status.Miner != "" || v.Status.InstanceSeq != 5 {
		t.Fatalf("%+v", v.Status)
	}
	w.fenced(a, v, 5)
	// The tenant may have it tried again, also by the miners that failed it if there are no others.
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.is(id, vm.Pending, vm.ReasonRetryWait)
	w.alive(30, 10, m0, m1)
	if v = w.is(id, vm.Assigned, ""); v.Status.Attempts != 1 || v.Status.InstanceSeq != 6 {
		t.Fatalf("%+v", v.Status)
	}
	w.boot(id)
	if v = w.is(id, vm.Running, ""); v.Status.Attempts != 0 || len(v.Status.Excluded) != 0 {
		t.Fatalf("%+v", v.Status)
	}
}

func TestFailureWithoutDataGoesElsewhere(t *testing.T) {
	w := newWorld(t, nil)
	m0, m1 := w.miner("miner0"), w.miner("miner1")
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	first := w.holder(id)
	w.report(w.says(id, vm.Provisioning))
	r := w.says(id, vm.Failed)
	r.Reason, r.Message = "image_checksum", "the image is not the catalogue's"
	w.report(r)
	v := w.is(id, vm.Assigned, "") // at the end of the same block
	if v.Status.Miner == first.Address || v.Status.InstanceSeq != 2 {
		t.Fatalf("%+v", v.Status)
	}
	w.fenced(a, v, 1)
	if n := w.registered(m0).Usage.Vms + w.registered(m1).Usage.Vms; n != 1 {
		t.Fatalf("%d VMs held", n)
	}
}

func TestSecretsAreDealtAnew(t *testing.T) {
	w := newWorld(t, nil)
	m0, m1 := w.miner("miner0"), w.miner("miner1")
	a := w.tenant("tenant")
	id := w.create(a, "web-1", func(c *computetypes.MsgCreateVM) { c.Instances = c.Instances[:1] })
	w.alive(30, 10, m0, m1)
	w.is(id, vm.Pending, vm.ReasonSecretsNeeded)
	deal := func(from, n uint32) *computetypes.MsgDealInstances {
		return &computetypes.MsgDealInstances{Owner: a.Address, VmId: id, Instances: w.instances(a.Address, id, from, n)}
	}
	w.refused(computetypes.ErrInstances, a, deal(1, 2))
	w.refused(computetypes.ErrInstances, a, deal(3, 2))
	bad := deal(2, 2)
	bad.Instances[1].Receipts[0].Signature[0] ^= 1
	w.refused(computetypes.ErrReceipts, a, bad)
	w.refused(computetypes.ErrNotOwner, w.tenant("other"), &computetypes.MsgDealInstances{Owner: apptest.Named("other").Address, VmId: id, Instances: deal(2, 1).Instances})
	w.MustDeliver(a, deal(2, 8))
	if v := w.is(id, vm.Assigned, ""); v.Status.InstanceSeq != 2 || len(v.Instances) != 9 {
		t.Fatalf("%+v", v.Status)
	}
	w.MustDeliver(a, deal(10, 16), deal(26, 9))
	w.refused(computetypes.ErrInstances, a, deal(35, 1)) // 33 ahead of instance 2
}

func TestParkedUntilCapacityGrows(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.tenant("tenant"), w.tenant("other")
	m := w.miner("miner0", small(2))
	var ids []string
	for i := range 5 {
		owner := a
		if i%2 == 1 {
			owner = b
		}
		ids = append(ids, w.create(owner, fmt.Sprint("vm-", i)))
	}
	big := w.create(a, "big", func(c *computetypes.MsgCreateVM) { c.Spec.Plan = "vault" })
	w.is(ids[1], vm.Assigned, "")
	for i, id := range ids[2:] {
		if v := w.is(id, vm.Pending, vm.ReasonNoCapacity); v.Status.QueuePlace != uint32(i+1) {
			t.Fatalf("place %d, want %d", v.Status.QueuePlace, i+1)
		}
	}
	if v := w.is(big, vm.Pending, vm.ReasonNoCapacity); v.Status.QueuePlace != 1 {
		t.Fatalf("place %d in a class of its own", v.Status.QueuePlace)
	}
	// Capacity is available again: the first in line takes it.
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: ids[0]})
	w.is(ids[2], vm.Pending, vm.ReasonNoCapacity)
	w.report(w.says(ids[0], vm.Terminated))
	w.is(ids[2], vm.Assigned, "")
	if v := w.is(ids[3], vm.Pending, vm.ReasonNoCapacity); v.Status.QueuePlace != 1 {
		t.Fatalf("place %d", v.Status.QueuePlace)
	}
	// A new miner takes all it can hold.
	w.miner("miner1", small(4))
	for _, id := range ids[3:] {
		w.is(id, vm.Assigned, "")
	}
	w.is(big, vm.Pending, vm.ReasonNoCapacity)
	w.miner("miner2", small(10))
	w.is(big, vm.Assigned, "")
	if u := w.registered(m).Usage; u.Vms != 2 {
		t.Fatalf("usage %+v", u)
	}
}

func TestFewAssignmentsABlock(t *testing.T) {
	w := newWorld(t, map[string]string{"compute": `{"params":{"max_assignments_per_block":2}}`, "registry": noNewcomers})
	a := w.tenant("tenant")
	var ids []string
	for i := range 5 {
		ids = append(ids, w.create(a, fmt.Sprint("vm-", i)))
	}
	assigned := func() (n int) {
		for _, id := range ids {
			if w.vm(id).Status.Phase.Core() == vm.Assigned {
				n++
			}
		}
		return n
	}
	w.miner("miner0")
	for _, want := range []int{2, 4, 5, 5} {
		if got := assigned(); got != want {
			t.Fatalf("%d assigned, want %d", got, want)
		}
		w.NextBlock(1)
	}
}

func TestGatesOfPlacement(t *testing.T) {
	w := newWorld(t, map[string]string{"registry": noNewcomers}) // one miner gets six VMs
	a := w.tenant("tenant")
	us := w.miner("miner0", func(m *registrytypes.MsgRegisterMiner) { m.Region = "us" })
	eu := w.miner("miner1")
	arm := w.miner("miner2", func(m *registrytypes.MsgRegisterMiner) { m.Capacity.Arch = "arm64" })
	disks := w.miner("miner3", func(m *registrytypes.MsgRegisterMiner) { m.Roles = []string{"storage"} })
	for i := range 3 {
		id := w.create(a, fmt.Sprint("us-", i), func(c *computetypes.MsgCreateVM) { c.Spec.Region = "us" })
		if v := w.vm(id); v.Status.Miner != us.Address {
			t.Fatalf("%s went to %s", v.Spec.Name, v.Status.Miner)
		}
		w.boot(id)
	}
	for _, m := range []apptest.Account{arm, disks} {
		if v := w.vm(w.create(a, m.Name, func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{m.Address} })); v.Status.Reason != vm.ReasonNoCapacity {
			t.Fatalf("%s: %+v", m.Name, v.Status)
		}
	}
	// A spread group goes to different miners while there are such, then shares.
	var at []string
	for i := range 3 {
		id := w.create(a, fmt.Sprint("db-", i), func(c *computetypes.MsgCreateVM) { c.Spec.SpreadGroup = "db" })
		at = append(at, w.vm(id).Status.Miner)
		w.boot(id)
	}
	if at[0] == at[1] || at[2] == "" {
		t.Fatalf("the group went to %v", at)
	}
	// The silent get nothing new, until they speak; neither do the draining.
	w.alive(120, 30, us)
	named := func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{eu.Address} }
	late := w.create(a, "late", named)
	w.is(late, vm.Pending, vm.ReasonNoCapacity)
	anywhere := w.create(a, "anywhere")
	if v := w.is(anywhere, vm.Assigned, ""); v.Status.Miner != us.Address {
		t.Fatalf("went to %s", v.Status.Miner)
	}
	if _, err := w.try(eu); err != nil {
		t.Fatal(err)
	}
	w.is(late, vm.Assigned, "")
	w.MustDeliver(eu, &registrytypes.MsgDrainMiner{Operator: eu.Address})
	later := w.create(a, "later", named)
	w.is(later, vm.Pending, vm.ReasonNoCapacity)
	w.MustDeliver(eu, &registrytypes.MsgDrainMiner{Operator: eu.Address, Undo: true})
	w.is(later, vm.Assigned, "")
}

func TestRunOut(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	low := w.running(a, "low")
	high := w.running(a, "high", func(c *computetypes.MsgCreateVM) { c.Spec.Priority = 10 })
	parked := w.create(a, "parked", func(c *computetypes.MsgCreateVM) { c.Spec.Plan = "titan" })
	// All but 1 200 ucredit beyond the hold-back is gone: about four minutes at 17 800 an hour.
	meter, err := w.market.Meter(w.Ctx(), &markettypes.QueryMeterRequest{Account: a.Address})
	if err != nil {
		t.Fatal(err)
	}
	w.leave(a, meter.HoldbackUcredit+1200)
	var stopped []string
	for i := 0; len(stopped) == 0; i++ {
		if i == 10 {
			t.Fatal("the account does not run out")
		}
		w.NextBlock(60)
		for _, e := range w.Events(computetypes.EventVMPhase) {
			stopped = append(stopped, e[computetypes.AttributeVM])
		}
		if len(stopped) == 0 {
			w.report(w.proven(w.says(low, vm.Running)), w.proven(w.says(high, vm.Running)))
		}
	}
	for _, id := range []string{low, high} {
		if v := w.is(id, vm.Stopping, vm.ReasonCreditRunOut); v.Spec.Power != computetypes.Power_POWER_OFF {
			t.Fatalf("%+v", v.Spec)
		}
	}
	w.is(parked, vm.Failed, vm.ReasonCreditRunOut)
	if i, j := slices.Index(stopped, low), slices.Index(stopped, high); i < 0 || i > j {
		t.Fatalf("stopped in the order %v; low %s, high %s", stopped, low, high)
	}
	w.report(w.says(low, vm.Stopped), w.says(high, vm.Stopped))
	w.refusedStart(a, low)
	// Bought again, the tenant starts it.
	rich := apptest.Named("miner5")
	w.MustDeliver(rich, buy(rich, a, 50))
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: low})
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: parked})
	w.is(low, vm.Provisioning, vm.ReasonTenant)
	w.is(parked, vm.Pending, vm.ReasonNoCapacity)
}
