package computetest

import (
	"testing"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// A meter that cannot be read stops neither the chain nor the settlement of others.
func TestMeterThatCannotBeRead(t *testing.T) {
	w := newWorld(t, map[string]string{"marketplace": `{"params":{"settle_lag_seconds":"0"}}`})
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	broken, none := apptest.Named("broken").Address, apptest.Named("nobody").Address
	w.garble("marketplace", markettypes.MetersPrefix(), broken)
	for _, name := range []string{broken, none} {
		w.setKey("marketplace", markettypes.DuePrefix(), collections.PairKeyCodec(collections.Int64Key, collections.StringKey),
			collections.Join(int64(1), name))
	}
	w.NextBlock(60)
	w.failedEntries(2, markettypes.ModuleName)
	w.report(w.proven(w.says(id, vm.Running)))
	w.NextBlock(3600)
	w.failedEntries(0, markettypes.ModuleName)
	if st := w.statement(a); st.Meter.Consumed == 0 {
		t.Errorf("another's meter was not settled: %+v", st)
	}
}

// Earnings that cannot be booked stop neither the chain nor what others earned; the coins stay in the buffer.
func TestEarningsThatCannotBeBooked(t *testing.T) {
	w := newWorld(t, nil)
	a, broken, other := apptest.Named("tenant"), apptest.Named("miner0"), apptest.Named("miner1")
	w.garble("ranking", rankingtypes.EarningsPrefix(), broken.Address)
	before, err := w.App.Keepers.Credits.Totals(w.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []apptest.Account{broken, other} {
		if err := w.App.Keepers.Credits.Consume(w.Ctx(), a.Address, 1000, m.Address); err != nil {
			t.Fatal(err)
		}
	}
	w.NextBlock(1)
	w.failedEntries(1, creditstypes.ModuleName)
	if e, err := w.App.Keepers.Ranking.Earnings(w.Ctx(), other.Address); err != nil || e.AccruedUhip != 600 {
		t.Errorf("the other miner earned %+v, %v", e, err)
	}
	after, err := w.App.Keepers.Credits.Totals(w.Ctx())
	if err != nil || after.BufferUhip != before.BufferUhip+600 {
		t.Errorf("the buffer went from %d to %d, %v", before.BufferUhip, after.BufferUhip, err)
	}
	if err := w.App.Keepers.Credits.CheckInvariants(w.Ctx()); err != nil {
		t.Error(err)
	}
	w.NextBlock(1)
	w.failedEntries(0, creditstypes.ModuleName)
}

// A keeper whose record cannot be read has no seat; the chain and the other keepers go on.
func TestKeeperThatCannotBeRead(t *testing.T) {
	w := committeeOf(t, 1000*hip, 1000*hip, 1000*hip)
	w.garble("registry", registrytypes.CustodiansPrefix(), apptest.Operator(1).Address)
	w.MustDeliver(apptest.Operator(0), keeperMsg(0, keeperName(0)))
	w.NextBlock(3600)
	w.failedEntries(1, registrytypes.ModuleName)
	if c := w.committee(0); len(c.Keepers) != 2 || sharesOf(c, 0) == 0 || sharesOf(c, 1) != 0 || sharesOf(c, 2) == 0 {
		t.Errorf("%+v", c)
	}
	w.NextBlock(1)
	w.failedEntries(0, registrytypes.ModuleName)
}

// A miner whose record cannot be read is passed over by placement.
func TestMinerThatCannotBeRead(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	other := w.miner("miner1")
	a := w.tenant("tenant")
	w.garble("registry", registrytypes.MinersPrefix(), apptest.Named("miner0").Address)
	id := w.create(a, "web-1")
	if v := w.is(id, vm.Assigned, ""); v.Status.Miner != other.Address {
		t.Errorf("%+v", v.Status)
	}
	w.failedEntries(1, registrytypes.ModuleName)
}

// A deadline whose work fails is tried again later: the VM is not left for ever as it is.
func TestDeadlineThatFails(t *testing.T) {
	w := newWorld(t, nil)
	m, other := w.miner("miner0"), w.miner("miner1")
	a := w.tenant("tenant")
	id := w.create(a, "late")
	at, err := collections.EncodeKeyWithPrefix(computetypes.InstancesPrefix(), collections.PairKeyCodec(collections.StringKey, collections.Uint32Key),
		collections.Join(id, uint32(1)))
	if err != nil {
		t.Fatal(err)
	}
	restore := w.garbleAt("compute", at)
	w.pass(30)
	w.failedEntries(1, computetypes.ModuleName)
	restore()
	if err := w.App.CheckInvariants(w.Ctx()); err != nil {
		t.Error(err)
	}
	w.alive(3600, 10, m, other) // slower blocks are halts
	if v := w.vm(id); v.Status.Attempts < 2 {
		t.Errorf("its miner did not begin in an hour, and it is still %s with %+v", v.Status.Phase.Core(), v.Status)
	}
}

// A VM whose placement fails is tried again later.
func TestPlacementThatFails(t *testing.T) {
	w := newWorld(t, nil)
	a := w.tenant("tenant")
	id := w.create(a, "early")
	w.is(id, vm.Pending, vm.ReasonNoCapacity)
	restore := w.garble("compute", computetypes.AttestationsPrefix(), id)
	m := w.miner("miner0")
	w.failedEntries(1, computetypes.ModuleName)
	restore()
	if err := w.App.CheckInvariants(w.Ctx()); err != nil {
		t.Error(err)
	}
	w.NextBlock(1)
	w.failedEntries(0, computetypes.ModuleName)
	w.alive(3600, 60, m)
	if v := w.vm(id); v.Status.Attempts == 0 {
		t.Errorf("a miner has room for it for an hour, and it is still %s with %+v", v.Status.Phase.Core(), v.Status)
	}
}
