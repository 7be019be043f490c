package computetest

import (
	"slices"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
)

// However many VMs of a tenant ran on a miner without a proof, and prove themselves elsewhere, they count once against it.
func TestSuspectIsBlamedOnceForATenant(t *testing.T) {
	w := newWorld(t, nil)
	bad := w.miner("miner0")
	a := w.tenant("tenant")
	ids := []string{w.create(a, "web-1"), w.create(a, "web-2")}
	for from := w.Now(); w.Now() < from+630; w.NextBlock(30) {
		for _, id := range ids {
			w.report(w.says(id, vm.Provisioning))
		}
	}
	w.miner("miner1")
	for _, id := range ids {
		w.fails(id, vm.ReasonBootTimeout)
	}
	for _, id := range ids {
		w.boot(id)
	}
	if n := w.failed(bad); n[0] != 1 {
		t.Fatalf("failed are %v", n)
	}
}

// That a tenant starts a VM again does not clear those that may have kept it from running.
func TestSuspectsStayUntilTheFirstProof(t *testing.T) {
	w := newWorld(t, nil)
	var all []apptest.Account
	for _, name := range []string{"miner0", "miner1", "miner2", "miner3"} {
		all = append(all, w.miner(name))
	}
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	var bad []apptest.Account
	for range 3 {
		bad = append(bad, w.holder(id))
		w.ranFor(id, 630, all...)
	}
	w.is(id, vm.Failed, vm.ReasonNoAgent)
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.boot(id)
	if n := w.failed(bad...); !slices.Equal(n, []uint32{1, 1, 1}) {
		t.Fatalf("failed are %v", n)
	}
}

// What a host says it waits for is no run of the guest: it is not charged, and blames nobody unless the VM runs elsewhere.
func TestGuestThatNeverRanIsNotCharged(t *testing.T) {
	w := newWorld(t, nil)
	all := []apptest.Account{w.miner("miner0"), w.miner("miner1"), w.miner("miner2"), w.miner("miner3")}
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	w.ranFor(id, 630, all...) // from here on it would be charged
	var waited []apptest.Account
	for reason, seconds := range map[string]int64{secretsAway: 570, vm.ReasonFetchingImage: 630} {
		waited = append(waited, w.holder(id))
		w.report(w.says(id, vm.Provisioning))
		for from := w.Now(); w.Now() < from+seconds; w.NextBlock(30) {
			r := w.says(id, vm.Provisioning)
			r.Reason = reason
			w.report(r)
			for _, m := range all {
				if err := w.App.Keepers.Registry.Seen(w.Ctx(), m.Address); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.fails(id, reason)
	}
	v := w.is(id, vm.Assigned, "")
	if n := w.failed(waited...); slices.Max(n) != 0 || len(v.Status.RanOn) != 1 || w.billed(a) != 0 {
		t.Fatalf("failed are %v, billed %d, and %+v", n, w.billed(a), v.Status)
	}
	w.boot(id)
	if n := w.failed(waited...); !slices.Equal(n, []uint32{1, 1}) {
		t.Fatalf("failed are %v", n)
	}
}

// A rebuild, or a proof that comes late, does not wipe what is charged of a run without one; and a host that reports on is paid no more
// than one that gives up.
func TestUnprovenChargeIsNotWiped(t *testing.T) {
	for name, c := range map[string]struct {
		seconds int64
		end     func(w *world, a apptest.Account, id string)
		want    int64
	}{
		"a rebuild":     {300, func(w *world, a apptest.Account, id string) { w.MustDeliver(a, rebuild(a, id, "debian-12")) }, 300},
		"a late proof":  {300, func(w *world, _ apptest.Account, id string) { w.report(w.proven(w.says(id, vm.Running))) }, 300 - vm.BootAllowance},
		"the host":      {300, func(w *world, _ apptest.Account, id string) { w.fails(id, "start_failed") }, 300 - vm.BootAllowance},
		"much too late": {1500, func(w *world, a apptest.Account, id string) { w.off(a, id) }, 760},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.miner("miner0")
			a := w.tenant("tenant")
			id := w.create(a, "web-1")
			w.report(w.says(id, vm.Provisioning))
			w.off(a, id) // the run that costs nothing
			w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
			w.report(w.says(id, vm.Provisioning))
			for from := w.Now(); w.Now() < from+c.seconds; {
				w.NextBlock(30)
				w.report(w.says(id, vm.Provisioning))
			}
			c.end(w, a, id)
			if got := w.billed(a); got+20*spark < uint64(c.want)*spark || got > uint64(c.want+20)*spark {
				t.Fatalf("billed %d, want %d", got, uint64(c.want)*spark)
			}
		})
	}
}

// A VM that is to have another size, and gives no proof, is charged on its host's word for the dearer of both.
func TestResizeWithoutAProofIsCharged(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0", large("miner0"))
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	w.report(w.says(id, vm.Provisioning))
	w.off(a, id)
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.report(w.says(id, vm.Provisioning))
	w.report(w.says(id, vm.Running))
	w.resized(a, id, "sovereign")
	rate := w.vm(id).Resize.RunningRate
	for range 10 {
		w.NextBlock(30)
		w.report(w.says(id, vm.Running))
	}
	w.off(a, id)
	if got := w.billed(a); got < 300*rate || got > 320*rate {
		t.Fatalf("billed %d, want %d", got, 300*rate)
	}
}

// Rebuilding one's own VM does not raise a miner's quality.
func TestRebuildsCountNoBoots(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	for range 3 {
		w.NextBlock(5)
		w.MustDeliver(a, rebuild(a, id, "debian-12"))
		w.boot(id)
	}
	if r := w.registered(m).Record; r.BootedParts != node.RecordParts {
		t.Fatalf("%+v", r)
	}
}

// A tenant that many miners failed does not blame the same few by turns: one that is excluded while another has to be forgotten for it
// has nothing in its record.
func TestManyExclusionsBlameNobodyTwice(t *testing.T) {
	tr := newTrial(t, 1)
	tr.join(75, 0, "", func(_ bool, m *registrytypes.MsgRegisterMiner) { small(8)(m) })
	fails := 0
	for i := range 9 {
		id := tr.createOne(tr.tenants[0], i)
		tr.seen()
		for range 8 {
			v := tr.now(id)
			if v.Status.Phase.Core() != vm.Assigned {
				t.Fatalf("%+v", v.Status)
			}
			r := tr.says(id, vm.Failed)
			r.Reason = "start_failed"
			tr.tell(v.Status.Miner, r)
			fails++
			tr.deliver(1, nil)
		}
	}
	blamed := uint32(0)
	for _, m := range tr.miners {
		r, err := tr.App.Keepers.Registry.Miner(tr.Ctx(), m)
		if err != nil {
			t.Fatal(err)
		}
		blamed += r.Record.FailedParts / node.RecordParts
	}
	if fails != 72 || blamed != 64 {
		t.Fatalf("of %d failures %d count", fails, blamed)
	}
}

// A run without a proof costs nothing only until a miner failed the tenant: then those of all its VMs are charged, also if their hosts
// give them up before ten minutes.
func TestRunsCostNothingOnce(t *testing.T) {
	w := newWorld(t, nil)
	all := []apptest.Account{w.miner("miner0"), w.miner("miner1"), w.miner("miner2"), w.miner("miner3")}
	a := w.tenant("tenant")
	ran := func(id string, least, most uint64) {
		t.Helper()
		before := w.billed(a)
		w.ranFor(id, 570, all...)
		w.between(id, w.billed(a)-before, least*spark, most*spark)
	}
	first := w.create(a, "web-1")
	ran(first, 0, 0)
	ran(first, 570-bootAllowance-60, 570-bootAllowance)
	ran(w.create(a, "web-2"), 570-bootAllowance-60, 570-bootAllowance)
}

// What a tenant has against a miner ends with the exclusion: blame cannot be saved up and told all at once.
func TestBlameIsNotSavedUp(t *testing.T) {
	w := newWorld(t, nil)
	bad := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	w.ranFor(id, 630, bad)
	w.NextBlock(day)
	w.miner("miner1") // the other is not seen
	w.NextBlock(1)
	w.boot(id)
	if n := w.failed(bad); n[0] != 0 {
		t.Errorf("failed are %v", n)
	}
}

// A guest that fell silent holds no newcomer's place for longer than an hour, and shows nothing of its miner.
func TestSilentVMIsNotOnTrialForEver(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	id := w.running(w.tenant("tenant"), "web-1", func(c *computetypes.MsgCreateVM) {
		c.Spec.OnSilence = computetypes.OnSilence_ON_SILENCE_CHARGE
	})
	if n := w.registered(m).Record.Trials; n != 1 {
		t.Fatalf("%d are on trial", n)
	}
	w.repeating(id, m, 5000, vm.Running)
	if r := w.registered(m).Record; r.Trials != 0 || r.Proven != 0 {
		t.Errorf("%d are on trial, %d have proven themselves", r.Trials, r.Proven)
	}
}
