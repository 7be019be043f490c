package computetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
)

// fails has a VM's miner say that the VM failed.
func (w *world) fails(id, reason string) {
	w.t.Helper()
	r := w.says(id, vm.Failed)
	r.Reason = reason
	w.report(r)
}

// ranFor has a VM's miner report every 30 s that it provisions the VM, as it does until the guest's agent is heard, and then that
// it was not. All miners are seen meanwhile.
func (w *world) ranFor(id string, seconds int64, all ...apptest.Account) {
	w.t.Helper()
	for from := w.Now(); w.Now() < from+seconds; w.NextBlock(30) {
		w.report(w.says(id, vm.Provisioning))
		for _, m := range all {
			if err := w.App.Keepers.Registry.Seen(w.Ctx(), m.Address); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	w.fails(id, vm.ReasonBootTimeout)
}

func (w *world) exclusions() []computetypes.Exclusion {
	w.t.Helper()
	g, err := w.App.Keepers.Compute.ExportGenesis(w.Ctx())
	if err != nil {
		w.t.Fatal(err)
	}
	return g.Exclusions
}

// failed counts what miners failed, by their records.
func (w *world) failed(miners ...apptest.Account) (n []uint32) {
	for _, m := range miners {
		n = append(n, w.registered(m).Record.FailedParts/node.RecordParts)
	}
	return n
}

// A miner on which a VM does not come to run has that in its record at once, and for a day gets no VM of the tenant.
func TestFailureBeforeTheVMRuns(t *testing.T) {
	for name, fail := range map[string]func(w *world, id string, all []apptest.Account){
		"says nothing":  func(w *world, _ string, all []apptest.Account) { w.alive(30, 10, all...) },
		"fails at once": func(w *world, id string, _ []apptest.Account) { w.fails(id, "start_failed") },
		"says that the guest shut itself down": func(w *world, id string, _ []apptest.Account) {
			w.report(w.says(id, vm.Provisioning))
			w.report(w.says(id, vm.Stopped))
		},
		"says that what it runs shut itself down": func(w *world, id string, _ []apptest.Account) {
			w.report(w.says(id, vm.Provisioning))
			w.report(w.says(id, vm.Running))
			w.report(w.says(id, vm.Stopped))
		},
		"claims too early that it ran": func(w *world, id string, all []apptest.Account) {
			w.report(w.says(id, vm.Provisioning))
			w.alive(540, 30, all...)
			w.fails(id, vm.ReasonBootTimeout)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			all := []apptest.Account{w.miner("miner0"), w.miner("miner1")}
			a, b := w.tenant("tenant"), w.tenant("other")
			id := w.create(a, "web-1")
			bad := w.holder(id)
			good := all[0]
			if bad.Address == good.Address {
				good = all[1]
			}
			fail(w, id, all)
			if n := w.failed(bad, good); !slices.Equal(n, []uint32{1, 0}) {
				t.Fatalf("failed are %v", n)
			}
			w.boot(id)
			for i := range 3 {
				if next := w.create(a, fmt.Sprint("next-", i)); w.holder(next).Address != good.Address {
					t.Fatal("the tenant's next VM is on the miner that failed it")
				}
			}
			// Another tenant may get it; the better one is full.
			if v := w.is(w.create(b, "web-1"), vm.Assigned, ""); v.Status.Miner != bad.Address {
				t.Fatalf("the other tenant's VM is on %s", v.Status.Miner)
			}
			e := w.exclusions()
			if len(e) != 1 || e[0].Owner != a.Address || e[0].Miner != bad.Address {
				t.Fatalf("%+v", e)
			}
			w.again()
			w.NextBlock(day)
			w.NextBlock(1)
			if left := w.exclusions(); slices.Contains(left, e[0]) { // others were never begun meanwhile
				t.Fatalf("after a day %+v", left)
			}
		})
	}
}

// What one tenant has fail counts once a day against a miner.
func TestOneTenantIsOneFailureADay(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a, b := w.tenant("tenant"), w.tenant("other")
	w.running(a, "good") // with which it keeps its addresses
	bad := func(owner apptest.Account, name string) {
		id := w.create(owner, name)
		if w.vm(id).Status.Reason == vm.ReasonRetryWait {
			w.alive(31, 31, m)
			w.alive(1, 1, m)
		}
		w.fails(id, "user_data_invalid")
		w.MustDeliver(owner, &computetypes.MsgTerminateVM{Owner: owner.Address, VmId: id})
	}
	for i := range 3 {
		bad(a, fmt.Sprint("bad-", i))
	}
	if n := w.failed(m); n[0] != 1 {
		t.Fatalf("three failures of one tenant count %d", n[0])
	}
	bad(b, "bad")
	if n := w.failed(m); n[0] != 2 {
		t.Fatalf("those of two tenants count %d", n[0])
	}
	w.alive(day, day, m)
	bad(a, "bad-again")
	if n := w.failed(m); n[0] != 2 { // the day before counts half
		t.Fatalf("a day later they count %d", n[0])
	}
}

// Attempts are used up only when no miner that was not tried has room.
func TestAttemptsAreNotCountedWhileOthersHaveRoom(t *testing.T) {
	w := newWorld(t, map[string]string{"compute": `{"params":{"max_attempts":2}}`}) // there are but six miners
	var all []apptest.Account
	for i := range 5 {
		all = append(all, w.miner(fmt.Sprint("miner", i)))
	}
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	for range 4 {
		w.fails(id, "start_failed")
	}
	if v := w.is(id, vm.Assigned, ""); v.Status.InstanceSeq != 5 {
		t.Fatalf("%+v", v.Status)
	}
	if n := w.failed(all...); slices.Max(n) != 1 {
		t.Fatalf("failed are %v", n)
	}
	w.fails(id, "start_failed")
	w.is(id, vm.Failed, vm.ReasonAttempts)
}

// User data that keeps the guest's agent from being heard does not compute for nothing on every host, nor ruin them.
func TestGuestWithoutAgent(t *testing.T) {
	w := newWorld(t, nil)
	var all []apptest.Account
	for i := range 5 {
		all = append(all, w.miner(fmt.Sprint("miner", i)))
	}
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	for i, want := range []uint64{0, 600 * spark, 1200 * spark} {
		w.ranFor(id, 630, all...)
		if got := w.billed(a); got < want || got > want+uint64(40*i*spark) {
			t.Fatalf("after attempt %d billed %d, want %d", i+1, got, want)
		}
	}
	v := w.is(id, vm.Failed, vm.ReasonNoAgent)
	if n := w.failed(all...); slices.Max(n) != 0 || v.Status.Miner != "" || v.Status.InstanceSeq != 3 {
		t.Fatalf("failed are %v, and %+v", n, v.Status)
	}
	// Once it is started again, all is charged.
	before := w.billed(a)
	w.alive(1, 1, all...)
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.report(w.says(id, vm.Provisioning))
	for range 10 {
		w.NextBlock(30)
		w.report(w.says(id, vm.Provisioning))
	}
	w.report(w.says(id, vm.Running))
	for range 10 {
		w.NextBlock(30)
		w.report(w.says(id, vm.Running))
	}
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	if got := w.billed(a) - before; got < 600*spark || got > 640*spark {
		t.Fatalf("billed %d for ten minutes, want %d", got, 600*spark)
	}
}

// A VM that is stopped before its proof, again and again, does not compute for nothing.
func TestStoppedBeforeItsProof(t *testing.T) {
	w := newWorld(t, nil)
	all := []apptest.Account{w.miner("miner0"), w.miner("miner1"), w.miner("miner2")} // as each is excluded
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	for i, want := range []uint64{0, 300 * spark, 600 * spark} {
		if i > 0 {
			w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
		}
		w.report(w.says(id, vm.Provisioning))
		for range 10 {
			w.alive(30, 30, all...)
			w.report(w.says(id, vm.Provisioning))
		}
		w.off(a, id)
		if got := w.billed(a); got < want || got > want+uint64(20*i*spark) {
			t.Fatalf("run %d: billed %d, want %d", i+1, got, want)
		}
	}
}

// A miner that kept a guest from its proof has that in its record once the same VM proves itself elsewhere, and the tenant pays from there
// on.
func TestGuestThatProvesItselfElsewhere(t *testing.T) {
	w := newWorld(t, nil)
	all := []apptest.Account{w.miner("miner0"), w.miner("miner1"), w.miner("miner2")}
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	var bad []apptest.Account
	for range 2 {
		bad = append(bad, w.holder(id))
		w.ranFor(id, 630, all...)
	}
	good := w.holder(id)
	if n := w.failed(all...); slices.Max(n) != 0 {
		t.Fatalf("failed are %v", n)
	}
	before := w.billed(a) // of the second attempt
	w.report(w.says(id, vm.Provisioning))
	w.NextBlock(60)
	w.report(w.says(id, vm.Provisioning))
	w.NextBlock(30)
	w.report(w.proven(w.says(id, vm.Running)))
	if got := w.billed(a); got != before {
		t.Errorf("billed %d before the first proof", got-before)
	}
	if n := w.failed(bad[0], bad[1], good); !slices.Equal(n, []uint32{1, 1, 0}) {
		t.Errorf("failed are %v", n)
	}
	w.NextBlock(60)
	w.report(w.proven(w.says(id, vm.Running)))
	if got := w.billed(a) - before; got != 60*spark {
		t.Errorf("billed %d for a minute", got)
	}
}

// A miner that says by turns that a VM runs and that it provisions it holds no deadline off.
func TestTurningPhasesHoldNoDeadlineOff(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	id := w.create(w.tenant("tenant"), "web-1")
	w.report(w.says(id, vm.Provisioning))
	from := w.Now()
	for i := 0; w.vm(id).Status.Miner != "" && w.Now() < from+7200; i++ {
		w.report(w.says(id, []vm.Phase{vm.Running, vm.Provisioning}[i%2]))
		w.NextBlock(30)
	}
	if passed := w.Now() - from; passed > 1900 {
		t.Fatalf("it was over after %d s", passed)
	}
	if u := w.registered(m).Usage; u != (registrytypes.Usage{}) {
		t.Fatalf("taken are %+v", u)
	}
}

// The reasons by which the chain decides are its own: a miner that gives one is refused, and ends no VM by it.
func TestChainsReasonsAreNoMinersToGive(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	w.miner("miner1")
	id := w.create(w.tenant("tenant"), "web-1")
	bad := w.holder(id)
	for _, reason := range []string{vm.ReasonNoAgent, vm.ReasonAttempts, vm.ReasonRetryWait, vm.ReasonNoProof, vm.ReasonHostGone, vm.ReasonCreditRunOut} {
		r := w.says(id, vm.Failed)
		r.Reason = reason
		if _, err := w.try(bad, r); !errors.Is(err, computetypes.ErrBadReport) {
			t.Errorf("%s: %v", reason, err)
		}
	}
	w.fails(id, "start_failed")
	w.is(id, vm.Assigned, "")
}
