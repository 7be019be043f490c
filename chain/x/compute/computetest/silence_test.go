package computetest

import (
	"fmt"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// unproven lets time pass in steps of 30 s, with the host's report that a VM runs after each, without a proof. It ends
// early, with the seconds that passed, when the chain has the VM do something else.
func (w *world) unproven(id string, seconds int64) (passed int64) {
	w.t.Helper()
	for passed < seconds && w.vm(id).Status.Phase.Core() == vm.Running {
		w.NextBlock(30)
		passed += 30
		w.report(w.says(id, vm.Running))
	}
	return passed
}

func silent(action computetypes.OnSilence) func(*computetypes.MsgCreateVM) {
	return func(m *computetypes.MsgCreateVM) { m.Spec.OnSilence = action }
}

// A tenant that answers one challenge every 81 s pays for 80 of them, one that answers every ten minutes for all.
func TestAnsweringSeldomIsNotFree(t *testing.T) {
	t.Run("the host is seen as seldom", func(t *testing.T) {
		w := newWorld(t, nil)
		w.miner("miner0")
		a := w.tenant("tenant")
		id := w.running(a, "web-1")
		for range 40 {
			w.NextBlock(81)
			w.report(w.proven(w.says(id, vm.Running)))
		}
		if got := w.billed(a); got != 40*80*spark {
			t.Errorf("billed %d, want %d", got, 40*80*spark)
		}
	})
	t.Run("the host is seen all the time", func(t *testing.T) {
		w := newWorld(t, nil)
		w.miner("miner0")
		a := w.tenant("tenant")
		id := w.running(a, "web-1")
		for range 6 {
			if passed := w.unproven(id, 570); passed != 570 {
				t.Fatalf("silent after %d s", passed)
			}
			w.NextBlock(20)
			w.report(w.proven(w.says(id, vm.Running)))
		}
		if got := w.billed(a); got != 6*590*spark {
			t.Errorf("billed %d, want %d", got, 6*590*spark)
		}
	})
}

// A tenant that stops the guest agent pays for the time until the VM is rebooted, and then until it is stopped.
func TestSilentGuestIsRebootedThenStopped(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	if passed := w.unproven(id, 3600); passed != 630 {
		t.Fatalf("something was done after %d s", passed)
	}
	v := w.is(id, vm.Rebooting, vm.ReasonGuestSilent)
	if v.Spec.RebootSeq != 1 || v.Spec.Power != computetypes.Power_POWER_ON {
		t.Fatalf("%+v", v.Spec)
	}
	if e := w.Events(computetypes.EventVMSilent); len(e) != 1 || e[0][computetypes.AttributeOperation] != "reboot" {
		t.Fatalf("events %v", e)
	}
	if got := w.billed(a); got != 630*spark {
		t.Fatalf("billed %d, want %d", got, 630*spark)
	}
	w.NextBlock(30)
	w.report(w.says(id, vm.Running))
	if passed := w.unproven(id, 3600); passed != 570 {
		t.Fatalf("something was done after %d s more", passed)
	}
	if v = w.is(id, vm.Stopping, vm.ReasonGuestSilent); v.Spec.Power != computetypes.Power_POWER_OFF {
		t.Fatalf("%+v", v.Spec)
	}
	if got := w.billed(a); got != 1230*spark {
		t.Fatalf("billed %d, want %d", got, 1230*spark)
	}
	w.report(w.says(id, vm.Stopping))
	w.is(id, vm.Stopping, vm.ReasonGuestSilent)
	w.report(w.says(id, vm.Stopped))
	w.is(id, vm.Stopped, vm.ReasonGuestSilent) // its host confirms the stop, and need not say why
	w.alive(600, 30, m)
	w.is(id, vm.Stopped, vm.ReasonGuestSilent)
	if w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id}); w.vm(id).Status.Phase.Core() != vm.Provisioning {
		t.Fatal("it cannot be started again")
	}
	// A proof ends the silence: the next one begins with a reboot again.
	w.report(w.proven(w.says(id, vm.Running)))
	w.unproven(id, 3600)
	w.is(id, vm.Rebooting, vm.ReasonGuestSilent)
}

func TestOnSilence(t *testing.T) {
	t.Run("stop", func(t *testing.T) {
		w := newWorld(t, nil)
		w.miner("miner0")
		id := w.running(w.tenant("tenant"), "web-1", silent(computetypes.OnSilence_ON_SILENCE_STOP))
		if passed := w.unproven(id, 3600); passed != 630 {
			t.Fatalf("stopped after %d s", passed)
		}
		w.is(id, vm.Stopping, vm.ReasonGuestSilent)
	})
	t.Run("charge", func(t *testing.T) {
		w := newWorld(t, nil)
		w.miner("miner0")
		a := w.tenant("tenant")
		id := w.running(a, "web-1", silent(computetypes.OnSilence_ON_SILENCE_CHARGE))
		if passed := w.unproven(id, 86_400/8); passed != 86_400/8 {
			t.Fatalf("something was done after %d s", passed)
		}
		if got, all := w.billed(a), uint64(86_400/8*spark); got > all || got < all-630*spark {
			t.Fatalf("billed %d of %d", got, all)
		}
		w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
		if got := w.billed(a); got != 86_400/8*spark {
			t.Fatalf("billed %d, want %d", got, 86_400/8*spark)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		w := newWorld(t, nil)
		a := w.tenant("tenant")
		w.refused(computetypes.ErrInvalid, a, w.createMsg(a, "web-1", silent(4)))
	})
}

// A gap of the host's reports, or a halt of the chain, is no silence of the guest.
func TestAwayHostIsNoSilence(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	for range 5 {
		if passed := w.unproven(id, 570); passed != 570 {
			t.Fatalf("silent after %d s", passed)
		}
		w.NextBlock(3600)
		w.report(w.says(id, vm.Running))
	}
	w.report(w.proven(w.says(id, vm.Running)))
	w.is(id, vm.Running, "")
	// Of the hours in which nobody was seen, only what the report after each covers.
	if got := w.billed(a); got > 5*(570+80)*spark {
		t.Fatalf("billed %d", got)
	}
}

// What silences the guests of a whole network must not power it off: beyond the bound VMs run on, and are charged.
func TestSilenceOfManyPowersNobodyOff(t *testing.T) {
	w := newWorld(t, map[string]string{"compute": `{"params":{"max_silence_actions":3}}`, "registry": noNewcomers})
	m := w.miner("miner0", large("miner0"))
	a := w.tenant("tenant")
	var ids []string
	for i := range 8 {
		ids = append(ids, w.create(a, fmt.Sprint("web-", i)))
	}
	for _, id := range ids {
		w.boot(id)
	}
	w.NextBlock(3600 - w.Now()%3600)
	for _, id := range ids {
		w.report(w.proven(w.says(id, vm.Running)))
	}
	before := w.billed(a)
	for range 25 {
		w.NextBlock(30)
		var reports []computetypes.VMReport
		for _, id := range ids {
			reports = append(reports, w.says(id, vm.Running))
		}
		if _, err := w.try(m, reports...); err != nil {
			t.Fatal(err)
		}
	}
	rebooted := 0
	for _, id := range ids {
		switch v := w.vm(id); {
		case v.Spec.RebootSeq > 0:
			rebooted++
		case v.Status.Phase.Core() != vm.Running:
			t.Errorf("%s is %s", v.Spec.Name, v.Status.Phase.Core())
		}
	}
	if rebooted != 3 {
		t.Errorf("%d were rebooted in an hour, want 3", rebooted)
	}
	if got, want := w.billed(a)-before, uint64(8*630*spark); got < want {
		t.Errorf("billed %d, want at least %d", got, want)
	}
}

// A VM that is stopped before its first proof costs nothing: not the time it ran, nor its disk.
func TestNothingIsChargedBeforeTheFirstProof(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	w.report(w.says(id, vm.Provisioning))
	w.report(w.says(id, vm.Running))
	for range 10 {
		w.NextBlock(30)
		w.report(w.says(id, vm.Running))
	}
	w.off(a, id)
	for range 20 {
		w.NextBlock(30)
		w.report(w.says(id, vm.Stopped))
	}
	if got := w.billed(a); got != 0 {
		t.Fatalf("billed %d", got)
	}
	// Once it was proven, both are.
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.NextBlock(30) // it hung on its miner until it was stopped: that is tried last
	w.NextBlock(1)
	w.report(w.says(id, vm.Provisioning))
	w.NextBlock(30)
	w.report(w.proven(w.says(id, vm.Running)))
	w.NextBlock(30)
	w.report(w.proven(w.says(id, vm.Running)))
	w.report(w.says(id, vm.Stopped))
	w.report(w.says(id, vm.Stopped))
	w.NextBlock(30)
	w.report(w.says(id, vm.Stopped))
	if got := w.billed(a); got != 30*spark+30*sparkHD {
		t.Fatalf("billed %d, want %d", got, 30*spark+30*sparkHD)
	}
}

// What a tenant has elsewhere, and how long ago it was settled, does not show in a report's gas.
func TestReportGasDoesNotDependOnOtherVMs(t *testing.T) {
	gas := func(others int) int64 {
		w := newWorld(t, map[string]string{"registry": noNewcomers})
		m := w.miner("miner0", large("miner0"))
		far := w.miner("miner1", large("miner1"))
		a := w.tenant("tenant")
		on := func(miner apptest.Account) func(*computetypes.MsgCreateVM) {
			return func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{miner.Address} }
		}
		id := w.running(a, "web-1", on(m))
		for i := range others {
			w.running(a, fmt.Sprint("far-", i), on(far))
		}
		w.NextBlock(30)
		used, err := w.batch(m, w.proven(w.says(id, vm.Running)))
		if err != nil {
			t.Fatal(err)
		}
		return used
	}
	few, many := gas(0), gas(45)
	t.Logf("gas of a report: %d alone, %d beside 45 other VMs", few, many)
	if many > few+few/50 {
		t.Errorf("a report takes %d gas alone, and %d beside 45 VMs", few, many)
	}
}
