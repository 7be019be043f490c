package computetest

import (
	"testing"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	registrykeeper "github.com/hippius/compute/chain/x/registry/keeper"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// boastful offers far more cores than a least bond covers: with it the bond covers two sparks.
func boastful(m *registrytypes.MsgRegisterMiner) {
	m.Capacity.Cores, m.Capacity.MemoryMib, m.Capacity.DiskGib = 4096, 128<<10, 1000
}

// Of what a miner offers the part counts that its bond covers.
func TestBondCoversWhatCounts(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0", boastful)
	a := w.tenant("tenant")
	w.running(a, "web-1")
	w.running(a, "web-2")
	id := w.create(a, "web-3")
	w.is(id, vm.Pending, vm.ReasonNoCapacity)
	// An offer of less is covered whole.
	w.miner("miner0", func(m *registrytypes.MsgRegisterMiner) { m.BondUhip = 0 })
	w.is(id, vm.Assigned, "")
	w.boot(id)
	if u := w.registered(m).Usage; u.Vms != 3 {
		t.Fatalf("held are %+v", u)
	}
}

// Bonds that governance raises take no VM from a miner. It gets no more until it has bonded more.
func TestBondsThatAreRaised(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	first := w.running(a, "web-1")
	w.setRegistry(func(p *registrytypes.Params) { p.BondPerCoreUhip = 900_000_000 }) // one of its four cores is covered
	for range 2 {
		w.alive(30, 30, m)
		w.report(w.proven(w.says(first, vm.Running)))
	}
	w.running(a, "web-2")
	id := w.create(a, "web-3")
	w.is(id, vm.Pending, vm.ReasonNoCapacity)
	if n, err := w.App.Keepers.Registry.RingSize(w.Ctx(), ""); err != nil || n != 0 {
		t.Errorf("%d miners are on the ring: %v", n, err)
	}
	w.miner("miner0", func(m *registrytypes.MsgRegisterMiner) { m.BondUhip = 4 * bond })
	w.is(id, vm.Assigned, "")
	w.is(first, vm.Running, "")
}

// setRegistry changes parameters of x/registry as governance does.
func (w *world) setRegistry(change func(p *registrytypes.Params)) {
	w.t.Helper()
	k := w.App.Keepers.Registry
	p, err := k.Params(w.Ctx())
	if err != nil {
		w.t.Fatal(err)
	}
	change(&p)
	if _, err := registrykeeper.NewMsgServer(k).UpdateParams(w.Ctx(), &registrytypes.MsgUpdateParams{Authority: authtypes.NewModuleAddress("gov").String(), Params: p}); err != nil {
		w.t.Fatal(err)
	}
}
