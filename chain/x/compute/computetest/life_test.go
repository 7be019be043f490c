package computetest

import (
	"bytes"
	"slices"
	"testing"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

func TestLife(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")

	// Created and assigned in the same block.
	id := w.create(a, "web-1")
	v := w.is(id, vm.Assigned, "")
	if v.Status.Miner != m.Address || v.Status.InstanceSeq != 1 || v.Status.Deadline != w.Now()+30 || v.RunningRate != spark || v.StoppedRate != sparkHD {
		t.Fatalf("assigned: %+v", v)
	}
	if len(v.Instances) != 8 || len(v.AuthorizedKeys) != 1 || v.AuthorizedKeys[0] != sshLine(t, "tenant") {
		t.Fatalf("the VM lacks instances or keys: %d, %q", len(v.Instances), v.AuthorizedKeys)
	}
	if u := w.registered(m).Usage; u.Vms != 1 || u.Vcpus != 1 || u.MemoryMib != 2048 || u.DiskGib != 18 {
		t.Fatalf("usage %+v", u)
	}
	w.NextBlock(10)
	w.report(w.says(id, vm.Provisioning))
	w.NextBlock(100) // provisioning has no deadline and costs nothing
	w.report(w.says(id, vm.Running))
	w.NextBlock(5)
	if w.rate(a) != 0 || w.billed(a) != 0 {
		t.Fatal("charged before the first proof")
	}
	w.report(w.proven(w.says(id, vm.Running)))
	ready := w.Now()
	if v := w.vm(id); v.Status.ReadyAt != ready || !v.Status.HasData || w.rate(a) != spark {
		t.Fatalf("not ready: %+v", v.Status)
	}

	// Charged between proofs, exactly.
	for range 4 {
		w.NextBlock(30)
		w.report(w.proven(w.says(id, vm.Running)))
	}
	if got := w.billed(a); got != 120*spark {
		t.Fatalf("billed %d, want %d", got, 120*spark)
	}

	// A reboot keeps the run.
	w.MustDeliver(a, &computetypes.MsgRebootVM{Owner: a.Address, VmId: id})
	w.is(id, vm.Rebooting, vm.ReasonTenant)
	early := w.proven(w.says(id, vm.Running))
	early.ObservedRebootSeq = 0
	w.report(early) // the request was not seen yet
	w.is(id, vm.Rebooting, "")
	w.NextBlock(20)
	w.report(w.proven(w.says(id, vm.Running)))
	w.is(id, vm.Running, "")
	if got := w.billed(a); got != 140*spark || w.vm(id).Status.ReadyAt != ready {
		t.Fatalf("billed %d, want %d", got, 140*spark)
	}

	// Stopped: charged up to the block of the request, then nothing until the disk is attested.
	w.NextBlock(17)
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
	w.is(id, vm.Stopping, vm.ReasonTenant)
	if got := w.billed(a); got != 157*spark || w.rate(a) != 0 {
		t.Fatalf("billed %d, want %d; rate %d", got, 157*spark, w.rate(a))
	}
	late := w.says(id, vm.Stopping)
	w.NextBlock(3)
	w.report(late)
	w.NextBlock(4)
	w.report(w.says(id, vm.Stopped))
	if w.rate(a) != sparkHD {
		t.Fatalf("a stopped VM costs %d", w.rate(a))
	}
	w.NextBlock(30)
	w.report(w.says(id, vm.Stopped))
	w.NextBlock(10)
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	if got := w.billed(a); got != 157*spark+40*sparkHD {
		t.Fatalf("billed %d, want %d", got, 157*spark+40*sparkHD)
	}
	if v := w.is(id, vm.Provisioning, vm.ReasonTenant); v.Status.InstanceSeq != 1 || v.Status.Miner != m.Address || v.Status.ReadyAt != 0 {
		t.Fatalf("started: %+v", v.Status)
	}
	w.report(w.proven(w.says(id, vm.Running)))
	w.NextBlock(60)
	w.report(w.proven(w.says(id, vm.Running)))
	if got := w.billed(a); got != 217*spark+40*sparkHD {
		t.Fatalf("billed %d, want %d", got, 217*spark+40*sparkHD)
	}

	// Terminated: nothing is charged from that block on; name and key are free at once.
	w.NextBlock(5)
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	v = w.is(id, vm.Terminating, vm.ReasonTenant)
	want := uint64(222*spark + 40*sparkHD)
	if got := w.billed(a); got != want || w.rate(a) != 0 {
		t.Fatalf("billed %d, want %d", got, want)
	}
	if v.Status.Attestation.RunningSeconds != 222 || v.Status.Attestation.StoppedSeconds != 40 {
		t.Fatalf("attested %+v", v.Status.Attestation)
	}
	if revoked := w.block(a).Revoked; len(revoked) != 1 || !bytes.Equal(revoked[0], v.Instances[0].MeshCertFingerprint) {
		t.Fatalf("revoked %x", revoked)
	}
	w.NextBlock(30)
	w.report(w.says(id, vm.Terminated))
	v = w.is(id, vm.Terminated, vm.ReasonTenant)
	if v.Status.Miner != "" || v.TerminatedAt != w.Now() || w.registered(m).Usage.Vms != 0 || w.billed(a) != want {
		t.Fatalf("terminated: %+v", v)
	}
	r, err := w.compute.MinerVMs(w.Ctx(), &computetypes.QueryMinerVMsRequest{Miner: m.Address, AfterHeight: 1})
	if err != nil || len(r.Vms) != 0 || !slices.Equal(r.Released, []string{id}) {
		t.Fatalf("the miner is told %+v, %v", r, err)
	}
	w.MustDeliver(a, &computetypes.MsgRemoveSSHKey{Owner: a.Address, Name: "laptop"})
	w.MustDeliver(a, &computetypes.MsgAddSSHKey{Owner: a.Address, Name: "laptop", PublicKey: sshLine(t, "another")})
	w.create(a, "web-1", func(c *computetypes.MsgCreateVM) { c.Spec.MeshAddress = v.Spec.MeshAddress })
}

func TestTerminateBeforePlacement(t *testing.T) {
	w := newWorld(t, nil)
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	if v := w.is(id, vm.Pending, vm.ReasonNoCapacity); v.Status.QueuePlace != 1 {
		t.Fatalf("place %d in the queue", v.Status.QueuePlace)
	}
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	w.is(id, vm.Terminated, vm.ReasonTenant)
	if w.billed(a) != 0 {
		t.Fatal("charged for a VM that never was")
	}
	w.refused(computetypes.ErrWrongPhase, a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	// The tombstone is forgotten a week later.
	w.NextBlock(7*24*3600 + 1)
	if _, err := w.compute.VM(w.Ctx(), &computetypes.QueryVMRequest{Id: id}); err == nil {
		t.Fatal("the tombstone is still there")
	}
}

func TestGuestShutsItselfDown(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	w.NextBlock(30)
	w.report(w.proven(w.says(id, vm.Running)))
	w.NextBlock(20)
	r := w.says(id, vm.Stopped)
	r.Reason = vm.ReasonGuestShutdown
	w.report(r)
	v := w.is(id, vm.Stopped, vm.ReasonGuestShutdown)
	if v.Spec.Power != computetypes.Power_POWER_OFF || v.Generation != 2 || w.billed(a) != 30*spark {
		t.Fatalf("power %s, generation %d, billed %d", v.Spec.Power, v.Generation, w.billed(a))
	}
	w.refused(computetypes.ErrWrongPhase, a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
}

func TestAStaleReportIsNoShutdown(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
	w.report(w.says(id, vm.Stopped))
	stale := w.says(id, vm.Stopped)
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.report(stale) // from before the miner saw the wish
	if v := w.is(id, vm.Provisioning, vm.ReasonTenant); v.Spec.Power != computetypes.Power_POWER_ON {
		t.Fatalf("%+v", v.Spec)
	}
	w.report(w.says(id, vm.Stopped)) // and after
	w.is(id, vm.Stopped, vm.ReasonGuestShutdown)
}

func TestProcessDiesAndIsStartedAgain(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	w.NextBlock(20)
	stale := w.proven(w.says(id, vm.Running)) // signed before the process died
	w.NextBlock(1)
	r := w.says(id, vm.Provisioning)
	r.Reason = vm.ReasonHostProcessDied
	w.report(r)
	if v := w.is(id, vm.Provisioning, vm.ReasonHostProcessDied); v.Status.ReadyAt != 0 || w.billed(a) != 0 || w.rate(a) != 0 {
		t.Fatalf("%+v, billed %d", v.Status, w.billed(a))
	}
	if _, err := w.try(w.holder(id), stale); err == nil {
		t.Fatal("a proof of the past run was taken")
	}
	w.report(w.says(id, vm.Running))
	w.NextBlock(5)
	w.report(w.proven(w.says(id, vm.Running)))
	w.NextBlock(10)
	w.report(w.proven(w.says(id, vm.Running)))
	if got := w.billed(a); got != 15*spark { // from the host's word that it runs again, which a proof confirmed
		t.Fatalf("billed %d", got)
	}
}

func TestFailureWithDataStaysOnItsHost(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	w.miner("miner1")
	a := w.tenant("tenant")
	id := w.running(a, "web-1", func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{m.Address} })
	r := w.says(id, vm.Failed)
	r.Reason, r.Message = "libvirt_down", "no connection to libvirt"
	w.report(r)
	w.Run(120, 10)
	v := w.is(id, vm.Failed, "libvirt_down")
	if v.Status.Miner != m.Address || v.Status.InstanceSeq != 1 || w.rate(a) != sparkHD { // its disk
		t.Fatalf("%+v", v.Status)
	}
	w.report(w.says(id, vm.Provisioning))
	w.report(w.says(id, vm.Running))
	w.is(id, vm.Running, "")
}

func TestWithoutAgentTheHostsWordCounts(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.create(a, "web-1", func(c *computetypes.MsgCreateVM) { c.Spec.Agent = computetypes.AgentMode_AGENT_MODE_NONE })
	w.report(w.says(id, vm.Provisioning))
	w.report(w.says(id, vm.Running))
	w.NextBlock(30)
	w.report(w.says(id, vm.Running))
	w.NextBlock(90) // longer than a report covers
	w.report(w.says(id, vm.Running))
	w.NextBlock(10)
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	if got := w.billed(a); got != 120*spark {
		t.Fatalf("billed %d, want %d", got, 120*spark)
	}
}
