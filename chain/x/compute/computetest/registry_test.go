package computetest

import (
	"strings"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

func buy(buyer, recipient apptest.Account, credits uint64) *creditstypes.MsgBuy {
	return &creditstypes.MsgBuy{Buyer: buyer.Address, Recipient: recipient.Address, Uhip: credits * 1_000_000}
}

func (w *world) refusedStart(a apptest.Account, id string) {
	w.t.Helper()
	w.refused(markettypes.ErrInsufficient, a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
}

func (w *world) uhip(a apptest.Account) uint64 {
	return w.App.Keepers.Bank.GetBalance(w.Ctx(), a.Acc(), "uhip").Amount.Uint64()
}

func TestBadRegistrations(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	m := apptest.Named("miner1")
	for name, c := range map[string]struct {
		want  error
		spoil func(*registrytypes.MsgRegisterMiner)
	}{
		"name":         {registrytypes.ErrInvalid, func(m *registrytypes.MsgRegisterMiner) { m.Name = "" }},
		"identity":     {registrytypes.ErrInvalid, func(m *registrytypes.MsgRegisterMiner) { m.Identity = m.Identity[1:] }},
		"taken":        {registrytypes.ErrIdentityTaken, func(m *registrytypes.MsgRegisterMiner) { m.Identity = public("miner0") }},
		"no role":      {registrytypes.ErrInvalid, func(m *registrytypes.MsgRegisterMiner) { m.Roles = nil }},
		"role":         {registrytypes.ErrInvalid, func(m *registrytypes.MsgRegisterMiner) { m.Roles = []string{"compute", "compute"} }},
		"endpoint":     {registrytypes.ErrInvalid, func(m *registrytypes.MsgRegisterMiner) { m.Endpoint = "miner" }},
		"region":       {registrytypes.ErrInvalid, func(m *registrytypes.MsgRegisterMiner) { m.Region = "" }},
		"cores":        {registrytypes.ErrInvalid, func(m *registrytypes.MsgRegisterMiner) { m.Capacity.Cores = 0 }},
		"arch":         {registrytypes.ErrInvalid, func(m *registrytypes.MsgRegisterMiner) { m.Capacity.Arch = "vax" }},
		"acceleration": {registrytypes.ErrInvalid, func(m *registrytypes.MsgRegisterMiner) { m.Capacity.Acceleration = "warp" }},
		"model":        {registrytypes.ErrInvalid, func(m *registrytypes.MsgRegisterMiner) { m.Capacity.CpuModel = "\n" }},
		"version":      {registrytypes.ErrInvalid, func(m *registrytypes.MsgRegisterMiner) { m.Version = strings.Repeat("v", 65) }},
		"bond":         {registrytypes.ErrBond, func(m *registrytypes.MsgRegisterMiner) { m.BondUhip = bond - 1 }},
		"funds":        {registrytypes.ErrBondFunds, func(m *registrytypes.MsgRegisterMiner) { m.BondUhip = 11 * bond }},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			o := offer("miner1")
			c.spoil(o)
			w.refused(c.want, m, o)
		})
	}
	w.t = t
	w.refused(registrytypes.ErrUnknownMiner, m, &registrytypes.MsgDrainMiner{Operator: m.Address})
	w.refused(registrytypes.ErrUnknownMiner, m, &registrytypes.MsgUnbondMiner{Operator: m.Address})
	m0 := apptest.Named("miner0")
	w.refused(registrytypes.ErrStatus, m0, &registrytypes.MsgDrainMiner{Operator: m0.Address, Undo: true})
	w.refused(registrytypes.ErrUnauthorized, m, &registrytypes.MsgUpdateParams{Authority: m.Address, Params: registrytypes.DefaultParams()})
}

func TestAMinersLife(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	if w.uhip(m) != 9*bond {
		t.Fatalf("%d uhip left", w.uhip(m))
	}
	// Registered again, the offer is replaced and the bond added to.
	again := offer("miner0")
	again.Endpoint, again.Identity, again.BondUhip, again.Region, again.Version = "new.example:1", public("another"), 5, "us", "v9.9"
	w.MustDeliver(m, again)
	got := w.registered(m)
	if got.Endpoint != "new.example:1" || got.BondUhip != bond+5 || got.Region != "us" || got.Version != "v9.9" {
		t.Fatalf("%+v", got)
	}
	w.miner("miner1", func(o *registrytypes.MsgRegisterMiner) { o.Identity = public("miner0") }) // free again

	id := w.create(a, "web-1", func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{m.Address} })
	w.refused(registrytypes.ErrHoldsVMs, m, &registrytypes.MsgUnbondMiner{Operator: m.Address})
	w.MustDeliver(m, &registrytypes.MsgDrainMiner{Operator: m.Address})
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	w.refused(registrytypes.ErrHoldsVMs, m, &registrytypes.MsgUnbondMiner{Operator: m.Address})
	w.report(w.says(id, vm.Terminated))
	w.MustDeliver(m, &registrytypes.MsgUnbondMiner{Operator: m.Address})
	w.refused(registrytypes.ErrStatus, m, &registrytypes.MsgUnbondMiner{Operator: m.Address})
	w.refused(registrytypes.ErrStatus, m, offer("miner0"))
	w.NextBlock(7*24*3600 - 1)
	if w.uhip(m) != 9*bond-5 {
		t.Fatal("the bond came back early")
	}
	w.NextBlock(1)
	if got := w.registered(m); w.uhip(m) != 10*bond || got.Status != registrytypes.StatusGone || got.BondUhip != 0 {
		t.Fatalf("%d uhip, %+v", w.uhip(m), got)
	}
	if _, err := w.try(m); err == nil {
		t.Fatal("a miner that is gone was heard")
	}
	again.BondUhip = bond
	w.MustDeliver(m, again)
	if got := w.registered(m); got.Status != registrytypes.StatusActive || got.RegisteredAt != w.Now() {
		t.Fatalf("%+v", got)
	}
	r, err := w.registry.Miners(w.Ctx(), &registrytypes.QueryMinersRequest{})
	if err != nil || len(r.Miners) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// A draining miner gets nothing new, wherever it would come from; what it has goes on as if nothing were.
func TestDrainingMiner(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	begun := w.create(a, "begun")
	w.MustDeliver(m, &registrytypes.MsgDrainMiner{Operator: m.Address})
	w.refused(registrytypes.ErrStatus, m, &registrytypes.MsgDrainMiner{Operator: m.Address})
	if got := w.registered(m); got.Status != registrytypes.StatusDraining || got.BondUhip != bond || got.Usage.Vms != 2 {
		t.Fatalf("%+v", got)
	}

	w.boot(begun)

	// Nothing new: not by lot, not by name, not by region, and not after a restart of the miner, which registers it again.
	lots := w.create(a, "lots")
	named := w.create(a, "named", func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{m.Address} })
	again := offer("miner0")
	again.BondUhip, again.Version = 0, "v2"
	w.MustDeliver(m, again)
	w.alive(60, 10, m)
	for _, waits := range []string{lots, named} {
		w.is(waits, vm.Pending, vm.ReasonNoCapacity)
	}
	w.refused(computetypes.ErrUnknownRegion, a, w.createMsg(a, "there", func(c *computetypes.MsgCreateVM) { c.Spec.Region = "eu" }))

	// What it has, or had begun, goes on: it runs, stops, starts, takes another size, and earns.
	w.is(begun, vm.Running, "")
	before := w.billed(a)
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
	w.report(w.says(id, vm.Stopped))
	w.MustDeliver(a, &computetypes.MsgResizeVM{Owner: a.Address, VmId: id, Plan: "pulse"})
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	w.boot(id)
	if v := w.is(id, vm.Running, ""); v.Status.Miner != m.Address || v.Status.InstanceSeq != 1 {
		t.Fatalf("%+v", v.Status)
	}
	for range 3 {
		w.NextBlock(20)
		w.report(w.proven(w.says(id, vm.Running)))
	}
	if w.billed(a) == before {
		t.Error("a VM on a draining miner costs nothing")
	}
	w.refused(registrytypes.ErrHoldsVMs, m, &registrytypes.MsgUnbondMiner{Operator: m.Address})

	// Told to, it takes those that waited.
	w.MustDeliver(m, &registrytypes.MsgDrainMiner{Operator: m.Address, Undo: true})
	w.refused(registrytypes.ErrStatus, m, &registrytypes.MsgDrainMiner{Operator: m.Address, Undo: true})
	w.is(named, vm.Assigned, "")
}
