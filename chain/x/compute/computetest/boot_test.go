package computetest

import (
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// bootAllowance is what a VM with data may boot for without being charged.
const bootAllowance = 120

// startedWithData is a VM that ran, was stopped and is started again.
func startedWithData(t *testing.T) (w *world, a, m apptest.Account, id string) {
	t.Helper()
	w = newWorld(t, nil)
	m = w.miner("miner0")
	a = w.tenant("tenant")
	id = w.running(a, "web-1")
	w.off(a, id)
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	return w, a, m, id
}

// repeating has a VM's miner say by turns what it does, every 30 s for so long, whether the chain takes it or not.
func (w *world) repeating(id string, m apptest.Account, seconds int64, phases ...vm.Phase) {
	w.t.Helper()
	for i, from := 0, w.Now(); w.Now() < from+seconds; i++ {
		if _, err := w.try(m, w.says(id, phases[i%len(phases)])); err != nil && testing.Verbose() {
			w.t.Logf("after %d s: %v", w.Now()-from, err)
		}
		w.NextBlock(29) // the report's block takes a second
	}
}

// between wants what was billed in bounds, in units.
func (w *world) between(what string, got, least, most uint64) {
	w.t.Helper()
	if got < least || got > most {
		w.t.Errorf("%s: billed %d seconds of a spark, want %d to %d", what, got/spark, least/spark, most/spark)
	}
}

// A VM with data whose guest never proves itself again ends at its deadline, is off from then on whatever its miner repeats, and is
// charged for the time that its host reported.
func TestStartWithoutAProofEndsOnce(t *testing.T) {
	w, a, m, id := startedWithData(t)
	before, from := w.billed(a), w.Now()
	w.repeating(id, m, 1770, vm.Provisioning)
	w.is(id, vm.Provisioning, "")
	w.between("half an hour", w.billed(a)-before, 1000*spark, 1800*spark)
	w.repeating(id, m, 4*3600, vm.Provisioning)
	v := w.is(id, vm.Failed, vm.ReasonBootTimeout)
	if v.Spec.Power != computetypes.Power_POWER_OFF || v.Status.Miner != m.Address || v.Status.PhaseSince > from+1900 {
		t.Errorf("power is %s, held by %q, failed after %d s", v.Spec.Power, v.Status.Miner, v.Status.PhaseSince-from)
	}
	w.between("all of the start", w.billed(a)-before, (1818-bootAllowance-60)*spark, 1850*spark)
	if u := w.registered(m).Usage; u.Vcpus != 0 || u.MemoryMib != 0 || u.DiskGib != 18 {
		t.Errorf("it takes %+v", u)
	}
	// Its host stopped it and says so: its disk is charged. The tenant starts it again.
	w.fails(id, vm.ReasonBootTimeout)
	if got := w.rate(a); got != sparkHD {
		t.Errorf("it costs %d an hour", got)
	}
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.boot(id)
	w.is(id, vm.Running, "")
}

// What boots for long is charged beyond the allowance, also when it proves itself in the end; what boots fast is charged from the
// host's first report that it runs.
func TestLateProofIsNotFree(t *testing.T) {
	for seconds, want := range map[int64]int64{60: 0, 120: 0, 540: 540 - bootAllowance, 1740: 1740 - bootAllowance} {
		w, a, m, id := startedWithData(t)
		before := w.billed(a)
		w.repeating(id, m, seconds, vm.Provisioning)
		w.report(w.proven(w.says(id, vm.Running)))
		w.is(id, vm.Running, "")
		least := uint64(max(0, want-40)) * spark
		w.between("booted slowly", w.billed(a)-before, least, uint64(want+30)*spark)
	}
}

// A VM that is started again and again and stopped before its proof is charged for what its host reported beyond the allowance.
func TestStartedAgainAndAgain(t *testing.T) {
	w, a, m, id := startedWithData(t)
	before := w.billed(a)
	const rounds = 5
	for range rounds {
		w.repeating(id, m, 540, vm.Provisioning)
		w.off(a, id)
		w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	}
	w.between("five starts", w.billed(a)-before, rounds*(540-bootAllowance-40)*spark, rounds*560*spark)
}

// A host that says by turns that a VM with data runs and that it starts it moves no deadline, and the VM is charged.
func TestTurnsOfAVMWithData(t *testing.T) {
	for _, turns := range [][]vm.Phase{{vm.Provisioning, vm.Running}, {vm.Running, vm.Running, vm.Provisioning}, {vm.Running, vm.Provisioning, vm.Provisioning}} {
		w, a, m, id := startedWithData(t)
		before, from := w.billed(a), w.Now()
		w.repeating(id, m, 3*3600, turns...)
		v := w.vm(id)
		if v.Status.Phase.Core() != vm.Failed && v.Status.Phase.Core() != vm.Stopping || v.Spec.Power != computetypes.Power_POWER_OFF {
			t.Errorf("%v: it is %s (%s)", turns, v.Status.Phase.Core(), v.Status.Reason)
		}
		ran := v.Status.PhaseSince - from
		if ran > 1900 {
			t.Errorf("%v: it was over after %d s", turns, ran)
		}
		w.between("turns", w.billed(a)-before, uint64(ran-bootAllowance-90)*spark, uint64(ran+30)*spark)
	}
}

// A VM that is rebuilt again and again, and proves itself as late as an honest host waits for it, does not compute for nothing.
func TestRebuiltAgainAndAgain(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	before := w.billed(a)
	const rounds = 3
	for range rounds {
		w.MustDeliver(a, rebuild(a, id, "debian-12"))
		w.repeating(id, m, 720, vm.Provisioning)
		w.report(w.proven(w.says(id, vm.Running)))
	}
	w.between("three rebuilds", w.billed(a)-before, rounds*(720-bootAllowance-60)*spark, rounds*740*spark)
}

// What a host says it failed to start, or says it cannot yet, is not charged.
func TestStartThatItsHostFails(t *testing.T) {
	t.Run("failed", func(t *testing.T) {
		w, a, m, id := startedWithData(t)
		before := w.billed(a)
		w.repeating(id, m, 540, vm.Provisioning)
		w.fails(id, "start_failed")
		w.is(id, vm.Failed, "start_failed")
		w.between("failed by its host", w.billed(a)-before, 0, 0)
	})
	t.Run("cannot yet", func(t *testing.T) {
		w, a, m, id := startedWithData(t)
		before := w.billed(a)
		for range 60 {
			r := w.says(id, vm.Provisioning)
			r.Reason = "secrets_unavailable"
			w.report(r)
			w.NextBlock(29)
		}
		w.is(id, vm.Provisioning, "secrets_unavailable")
		w.repeating(id, m, 90, vm.Provisioning)
		w.is(id, vm.Failed, vm.ReasonBootTimeout)
		w.between("not started", w.billed(a)-before, 0, 0)
	})
}

// A VM whose process died on its host is given the time of a start from then on, not from the start before.
func TestDeadlineAfterAProcessDied(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	for range 100 {
		w.NextBlock(59)
		w.report(w.proven(w.says(id, vm.Running)))
	}
	w.report(w.says(id, vm.Provisioning))
	if v := w.vm(id); v.Status.Deadline != w.Now()+1818 {
		t.Fatalf("the deadline is in %d s", v.Status.Deadline-w.Now())
	}
	w.repeating(id, m, 600, vm.Provisioning)
	w.report(w.proven(w.says(id, vm.Running)))
	w.is(id, vm.Running, "")
}

// A VM without data that its host reports in turns of any two phases is given up when its start has had its time.
func TestTurnsOfANewVM(t *testing.T) {
	phases := []vm.Phase{vm.Provisioning, vm.Running, vm.Rebooting, vm.Stopping, vm.Stopped}
	for i, first := range phases {
		for _, second := range phases[i+1:] {
			w := newWorld(t, nil)
			m := w.miner("miner0")
			id := w.create(w.tenant("tenant"), "web-1")
			w.report(w.says(id, vm.Provisioning))
			from := w.Now()
			for turn := 0; w.vm(id).Status.Miner != "" && w.Now() < from+3*3600; turn++ {
				w.repeating(id, m, 30, []vm.Phase{first, second}[turn%2])
			}
			if passed := w.Now() - from; passed < 1800 && second != vm.Stopped || passed > 1900 { // that it is off ends it
				t.Errorf("%s and %s: it was over after %d s", first, second, passed)
			}
		}
	}
}

// A run without any proof that is charged on its host's word, by its spec, counts in what the account pays, and ends with its credit.
func TestChargedSilenceHasARate(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1", silent(computetypes.OnSilence_ON_SILENCE_CHARGE))
	w.off(a, id)
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.repeating(id, m, 660, vm.Running)
	st := w.statement(a)
	if st.UcreditPerHour != spark || !st.HasRunway || st.Meter.NextDue == 0 || w.vm(id).Status.ReadyAt == 0 {
		t.Fatalf("it costs %d an hour, and is looked at at %d", st.UcreditPerHour, st.Meter.NextDue)
	}
	w.leave(a, st.HoldbackUcredit)
	w.NextBlock(30)
	w.is(id, vm.Stopping, vm.ReasonCreditRunOut)
}
