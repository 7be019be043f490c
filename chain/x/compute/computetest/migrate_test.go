package computetest

import (
	"maps"
	"testing"

	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// For version 1 the disk of a failed VM cost nothing, and a VM that was off took all that it runs with. After an upgrade accounts pay
// what their VMs cost, and miners hold what their VMs take.
func TestUpgradeOfFailedAndStoppedVMs(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	failed, stopped, running := w.running(a, "failed"), w.running(a, "stopped"), w.running(a, "running")
	w.fails(failed, "start_failed")
	w.off(a, stopped)
	pays, takes := w.rate(a), w.registered(m).Usage
	if pays != spark+2*sparkHD || takes.Vcpus != 1 || takes.DiskGib != 3*18 {
		t.Fatalf("%d an hour for %+v", pays, takes)
	}

	k, ctx := w.App.Keepers, w.Ctx()
	if err := k.Marketplace.SetRate(ctx, a.Address, -sparkHD); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{failed, stopped} {
		v := w.vm(id)
		if err := k.Registry.Swap(ctx, m.Address, v.Core().Demand().DiskOnly(), v.Core().Demand()); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := k.Upgrade.GetModuleVersionMap(ctx)
	if err != nil {
		t.Fatal(err)
	}
	versions[computetypes.ModuleName] = 1
	if err := k.Upgrade.SetModuleVersionMap(ctx, versions); err != nil {
		t.Fatal(err)
	}
	if err := w.App.CheckInvariants(w.Ctx()); err == nil {
		t.Error("that an account pays less than its VMs cost is not noticed")
	}
	if err := k.Upgrade.ApplyUpgrade(w.Ctx(), upgradetypes.Plan{Name: apptest.Upgrade, Height: w.Height()}); err != nil {
		t.Fatal(err)
	}
	w.NextBlock(1) // the invariants hold after it
	if got, u := w.rate(a), w.registered(m).Usage; got != pays || u != takes {
		t.Errorf("%d an hour for %+v, want %d for %+v", got, u, pays, takes)
	}
	w.report(w.proven(w.says(running, vm.Running)))
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: failed})
	if got := w.rate(a); got != spark+sparkHD {
		t.Errorf("%d an hour without the failed one", got)
	}
}

// Version 1 counted neither the instances that were dealt to a committee for each VM, nor the VMs that miners have on trial.
func TestUpgradeCountsInstancesAndTrials(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	running := w.running(a, "running")
	w.running(a, "another")
	gone := w.running(a, "gone")
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: gone})
	w.report(w.says(gone, vm.Terminated))
	counted := func() map[string]string {
		all := map[string]string{}
		for _, kv := range entriesOf(w.Store(computetypes.StoreKey))[computetypes.DealtPrefix().Bytes()[0]] {
			all[string(kv[0])] = string(kv[1])
		}
		return all
	}
	dealt, trials := counted(), w.registered(m).Record.Trials
	if len(dealt) != 2 || trials != 2 {
		t.Fatalf("%d VMs have their instances counted, %d are on trial", len(dealt), trials)
	}

	k := w.App.Keepers
	for key := range dealt {
		w.Store(computetypes.StoreKey).Delete([]byte(key))
	}
	if err := k.Registry.Recount(w.Ctx(), m.Address, w.registered(m).Usage.Node(), 0); err != nil {
		t.Fatal(err)
	}
	versions, err := k.Upgrade.GetModuleVersionMap(w.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	versions[computetypes.ModuleName] = 1
	if err := k.Upgrade.SetModuleVersionMap(w.Ctx(), versions); err != nil {
		t.Fatal(err)
	}
	if err := k.Upgrade.ApplyUpgrade(w.Ctx(), upgradetypes.Plan{Name: apptest.Upgrade, Height: w.Height()}); err != nil {
		t.Fatal(err)
	}
	w.NextBlock(1) // the invariants hold after it
	if got, n := counted(), w.registered(m).Record.Trials; !maps.Equal(got, dealt) || n != trials {
		t.Errorf("instances of %d VMs are counted after the upgrade, want %d; %d VMs on trial, want %d", len(got), len(dealt), n, trials)
	}
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: running})
	w.report(w.says(running, vm.Terminated))
	if n := len(counted()); n != 1 {
		t.Errorf("instances of %d VMs are counted after one of two ended", n)
	}
}
