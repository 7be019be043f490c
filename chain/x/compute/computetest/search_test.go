package computetest

import (
	"fmt"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/vm"
)

// crowded is a world of three tenants in which a miner's bond is one uhip, whatever it offers, and no miner a newcomer.
func crowded(t testing.TB) (w *world, tenants []apptest.Account) {
	t.Helper()
	return crowdedWith(t, `{}`)
}

// crowdedWith is crowded with overrides of x/compute.
func crowdedWith(t testing.TB, compute string) (w *world, tenants []apptest.Account) {
	t.Helper()
	over := map[string]string{"registry": `{"params":{"min_bond_uhip":"1","silence_seconds":"3600","newcomer_proven_vms":0,
		"bond_per_core_uhip":"0","bond_per_memory_gib_uhip":"0","bond_per_disk_gib_uhip":"0"}}`, "compute": compute}
	w = newWorld(t, over, func(g *app.Genesis) {
		g.Accounts = append(g.Accounts, app.GenesisAccount{Address: apptest.Named("third").Address, Ucredit: 100 * credit.PerCredit})
	})
	for _, name := range []string{"tenant", "other", "third"} {
		tenants = append(tenants, w.tenant(name))
	}
	return w, tenants
}

// crowd registers miners, at once and without transactions, each changed as wanted.
func (w *world) crowd(n int, change func(i int, m *registrytypes.MsgRegisterMiner)) {
	w.t.Helper()
	w.crowdFrom(0, n, change)
}

func (w *world) crowdFrom(first, n int, change func(i int, m *registrytypes.MsgRegisterMiner)) {
	w.t.Helper()
	rich, ctx := apptest.Named("miner0"), w.Ctx()
	for i := first; i < first+n; i++ {
		seed := hash(fmt.Sprint("crowd", i))
		m := offer("miner1")
		m.Operator, m.Name, m.Identity, m.BondUhip = sdk.AccAddress(seed[:20]).String(), fmt.Sprint("crowd-", i), seed, 1
		change(i, m)
		if err := w.App.Keepers.Bank.SendCoins(ctx, rich.Acc(), seed[:20], sdk.NewCoins(sdk.NewInt64Coin(registrytypes.Denom, 1))); err != nil {
			w.t.Fatal(err)
		}
		if err := w.App.Keepers.Registry.Register(ctx, m); err != nil {
			w.t.Fatal(err)
		}
	}
}

// cramped miners have some capacity, but none for a spark: they are on the ring and never chosen.
func cramped(m *registrytypes.MsgRegisterMiner) {
	m.Capacity.Cores, m.Capacity.MemoryMib, m.Capacity.DiskGib = 1, 1024, 10
}

// wanted creates VMs of the tenants in turn, in blocks of 32 without time between them, and returns their ids.
func (w *world) wanted(n int, tenants []apptest.Account, change ...func(*computetypes.MsgCreateVM)) (ids []string) {
	w.t.Helper()
	var txs [][]byte
	first := w.serial
	for i := range n {
		w.serial = first + i/len(tenants) // each tenant's VMs are numbered alike
		a := tenants[i%len(tenants)]
		m := w.createMsg(a, fmt.Sprint("vm-", w.serial), change...)
		id, err := vm.NewID(m.Owner, m.Nonce)
		if err != nil {
			w.t.Fatal(err)
		}
		ids, txs = append(ids, string(id)), append(txs, w.Sign(a, m))
		if len(txs) < 32 && i < n-1 {
			continue
		}
		for _, r := range w.BlockOf(0, txs...).TxResults {
			if r.Code != 0 {
				w.t.Fatal(r.Log)
			}
		}
		txs = nil
	}
	return ids
}

func (w *world) placed(ids []string) (n int) {
	for _, id := range ids {
		if w.vm(id).Status.Phase.Core() == vm.Assigned {
			n++
		}
	}
	return n
}

// Of 10 000 miners with capacity one has room for 128 VMs. All are placed at most six blocks after the last is created: ten thousand
// miners are looked at in one block, and 128 windows of 128 in two.
func TestOneMinerOfTenThousandIsFound(t *testing.T) {
	w, tenants := crowded(t)
	w.crowd(10_000, func(i int, m *registrytypes.MsgRegisterMiner) {
		cramped(m)
		if i == 4321 {
			m.Capacity.Cores, m.Capacity.MemoryMib, m.Capacity.DiskGib = 64, 128*2048, 128*18
		}
	})
	ids := w.wanted(128, tenants)
	for blocks := range 6 {
		if n := w.placed(ids); n == len(ids) {
			t.Logf("all are placed after %d blocks", blocks)
			return
		}
		w.NextBlock(1)
	}
	if n := w.placed(ids); n != len(ids) {
		t.Fatalf("%d of %d VMs are placed", n, len(ids))
	}
}

// A VM that waits says how many miners were searched for it, which rises to all of them in as many blocks as the README says; then
// nothing more is looked at until capacity grows.
func TestSearchIsBoundedAndSaysHowFarItIs(t *testing.T) {
	const miners = 3000
	w, tenants := crowdedWith(t, fmt.Sprintf(`{"params":{"max_candidates_per_block":%d}}`, perBlock))
	w.crowd(miners, func(_ int, m *registrytypes.MsgRegisterMiner) { cramped(m) })
	ids := w.wanted(2, tenants)
	blocks := 1
	for last := uint32(0); ; blocks++ {
		v := w.is(ids[1], vm.Pending, vm.ReasonNoCapacity)
		n := v.Status.MinersSearched
		if v.Status.MinersTotal != miners || v.Status.Message != "" || n < last || n-last > perBlock {
			t.Fatalf("after %d searched in block %d: %+v", last, blocks, v.Status)
		}
		if n == miners {
			break
		}
		if last = n; blocks > bound(1, miners) {
			t.Fatalf("%d of %d searched after %d blocks", n, miners, blocks)
		}
		w.NextBlock(1)
	}
	t.Logf("all searched after %d blocks", blocks)
	w.NextBlock(1)
	before := w.searches()
	w.NextBlock(1)
	if after := w.searches(); len(after) != 1 || !after[0].Whole || after[0] != before[0] {
		t.Fatalf("%+v, then %+v", before, after)
	}
	// Capacity is found wherever it comes, and in the order of arrival.
	w.miner("miner2", small(1), func(m *registrytypes.MsgRegisterMiner) { m.BondUhip = 1 })
	for range bound(1, miners) {
		w.NextBlock(1)
	}
	w.is(ids[0], vm.Assigned, "")
	w.is(ids[1], vm.Pending, vm.ReasonNoCapacity)
	if v := w.vm(ids[1]); v.Status.QueuePlace != 1 || v.Status.MinersSearched != v.Status.MinersTotal {
		t.Fatalf("%+v", v.Status)
	}
}

// perBlock candidates are looked at in a block, at least.
const perBlock = 1024

// bound of the README, in blocks, for so many classes and miners.
func bound(classes, miners int) int {
	per := perBlock/2 - 127
	return (classes*(miners+640)+per-1)/per + 1
}

func (w *world) searches() []computetypes.ClassSearch {
	w.t.Helper()
	g, err := w.App.Keepers.Compute.ExportGenesis(w.Ctx())
	if err != nil {
		w.t.Fatal(err)
	}
	return g.Searches
}

// Neither a class that is searched in vain, nor VMs that keep arriving, keep another class from being searched.
func TestNoClassKeepsAnotherFromBeingSearched(t *testing.T) {
	const miners = 2000
	w, tenants := crowdedWith(t, fmt.Sprintf(`{"params":{"max_candidates_per_block":%d}}`, perBlock))
	w.crowd(miners, func(i int, m *registrytypes.MsgRegisterMiner) {
		if cramped(m); i == 777 { // room for one pulse
			m.Capacity.Cores, m.Capacity.MemoryMib, m.Capacity.DiskGib = 1, 4096, 26
		}
	})
	plan := func(name string) func(*computetypes.MsgCreateVM) {
		return func(c *computetypes.MsgCreateVM) { c.Spec.Plan = name }
	}
	w.wanted(1, tenants, plan("vault"))
	w.wanted(1, tenants, plan("cipher"))
	id := w.wanted(1, tenants, plan("pulse"))[0]
	for i := range bound(3, miners) {
		if w.vm(id).Status.Phase.Core() == vm.Assigned {
			t.Logf("placed after %d blocks", i)
			return
		}
		// Capacity grows all the time, so no search is ever the last; new VMs arrive, of the classes that wait.
		w.miner("miner3", func(m *registrytypes.MsgRegisterMiner) { cramped(m); m.BondUhip = 1 })
		if i < 6 {
			w.wanted(2, tenants, plan("vault"))
		}
	}
	w.is(id, vm.Assigned, "")
}

// A VM is tried again with a miner that failed it when all others were searched, not when its window has no other.
func TestExcludedMinersAreTriedLast(t *testing.T) {
	w, tenants := crowded(t)
	w.crowd(600, func(_ int, m *registrytypes.MsgRegisterMiner) { cramped(m) })
	room := func(m *registrytypes.MsgRegisterMiner) { small(1)(m); m.BondUhip = 1 }
	first := w.miner("miner0", room)
	id := w.wanted(1, tenants)[0]
	for range 3 {
		w.NextBlock(1)
	}
	w.is(id, vm.Assigned, "")
	second := w.miner("miner1", room)
	for _, m := range []apptest.Account{first, second} {
		if at := w.holder(id); at.Address != m.Address {
			t.Fatalf("it is on %s, not %s", at.Name, m.Name)
		}
		w.report(w.says(id, vm.Provisioning))
		r := w.says(id, vm.Failed)
		r.Reason = "image_checksum"
		w.report(r)
		w.NextBlock(1)
	}
	w.is(id, vm.Pending, vm.ReasonRetryWait)
	w.NextBlock(31)
	w.NextBlock(1)
	w.is(id, vm.Assigned, "")
}

// That only excluded miners have room is the outcome of a search that takes several blocks, also if capacity grows meanwhile.
func TestExcludedMinersAreTriedWhileCapacityGrows(t *testing.T) {
	const miners = 3000
	w, tenants := crowdedWith(t, fmt.Sprintf(`{"params":{"max_candidates_per_block":%d}}`, perBlock))
	w.crowd(miners, func(_ int, m *registrytypes.MsgRegisterMiner) { cramped(m) })
	w.miner("miner0", func(m *registrytypes.MsgRegisterMiner) { small(1)(m); m.BondUhip = 1 })
	id := w.wanted(1, tenants)[0]
	for range bound(1, miners) {
		w.NextBlock(1)
	}
	w.is(id, vm.Assigned, "")
	w.report(w.says(id, vm.Provisioning))
	r := w.says(id, vm.Failed)
	r.Reason = "image_checksum"
	w.report(r)
	for range bound(1, miners+3) {
		if w.vm(id).Status.Reason == vm.ReasonRetryWait {
			return
		}
		w.miner("miner3", func(m *registrytypes.MsgRegisterMiner) { cramped(m); m.BondUhip = 1 })
	}
	w.is(id, vm.Pending, vm.ReasonRetryWait)
}

// A search goes on from an export where it was.
func TestExportedSearchGoesOn(t *testing.T) {
	w, tenants := crowdedWith(t, `{"params":{"max_candidates_per_block":1024}}`)
	w.crowd(3000, func(_ int, m *registrytypes.MsgRegisterMiner) { cramped(m) })
	w.NextBlock(3601) // they are silent, and leave the ring when they are looked at
	w.crowdFrom(3000, 3000, func(i int, m *registrytypes.MsgRegisterMiner) {
		if cramped(m); i == 4321 {
			small(2)(m)
		}
	})
	w.wanted(4, tenants)
	w.wanted(2, tenants, func(c *computetypes.MsgCreateVM) { c.Spec.Plan = "titan" })
	w.NextBlock(0) // two that arrived are tried in a block
	if s := w.searches(); len(s) != 2 || s[0].Whole && s[1].Whole {
		t.Fatalf("the searches are at their end: %+v", s)
	}
	fork, exported := w.Fork()
	equal(t, exported, fork.Imported())
	for range 24 {
		same(t, w.Height(), w.BlockOf(1), fork.BlockOf(1))
	}
	left, _, err1 := w.App.Export()
	right, _, err2 := fork.App.Export()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	equal(t, numbered(left), numbered(right))
}
