package computetest

import (
	"fmt"
	"strings"
	"testing"

	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/vm"
)

const hip = 1_000_000 // uhip

// committeeOf is a chain whose every validator operates a keeper.
func committeeOf(t *testing.T, stakes ...uint64) *world {
	t.Helper()
	w := newStaked(t, stakes, nil, func(g *app.Genesis) {
		g.Keepers = nil
		for i := range stakes {
			m := keeperMsg(i, keeperName(i))
			g.Keepers = append(g.Keepers, app.GenesisKeeper{Operator: m.Operator, Identity: m.Identity, HPKEKey: m.HpkeKey, Endpoint: m.Endpoint, Name: m.Name})
			if i > 0 {
				g.Accounts = append(g.Accounts, app.GenesisAccount{Address: m.Operator, Ucredit: 20 * credit.PerCredit, Uhip: 100 * hip})
			}
		}
	})
	for i := range stakes {
		w.keepers[string(public(keeperName(i)))] = keeperName(i)
	}
	return w
}

func keeperName(i int) string { return fmt.Sprint("keeper-", i) }

// keeperMsg registers the i-th validator's keeper with the key of a name.
func keeperMsg(i int, name string) *registrytypes.MsgRegisterKeeper {
	return &registrytypes.MsgRegisterKeeper{
		Operator: apptest.Operator(i).Address, Identity: public(name), HpkeKey: hash(name), Endpoint: "k.example:7000", Name: keeperName(i),
	}
}

// committee of an epoch; 0 for the present one.
func (w *world) committee(epoch uint64) registrytypes.Committee {
	w.t.Helper()
	r, err := w.registry.Committee(w.Ctx(), &registrytypes.QueryCommitteeRequest{Epoch: epoch})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Committee
}

// first reports whether the chain still has the committee of the first epoch.
func (w *world) first() bool {
	w.t.Helper()
	_, err := w.registry.Committee(w.Ctx(), &registrytypes.QueryCommitteeRequest{Epoch: 1})
	if err != nil && !strings.Contains(err.Error(), "knows no committee") {
		w.t.Fatal(err)
	}
	return err == nil
}

// shares of the i-th validator's keeper.
func sharesOf(c registrytypes.Committee, i int) uint32 {
	for _, k := range c.Keepers {
		if k.Operator == apptest.Operator(i).Address {
			return k.Shares
		}
	}
	return 0
}

// without leaves the receipts of some keepers out of a creation.
func without(m *computetypes.MsgCreateVM, names ...string) *computetypes.MsgCreateVM {
	for i := range m.Instances {
		in := &m.Instances[i]
		var kept []computetypes.KeeperReceipt
		for _, r := range in.Receipts {
			left := false
			for _, n := range names {
				left = left || string(r.Keeper) == string(public(n))
			}
			if !left {
				kept = append(kept, r)
			}
		}
		in.Receipts = kept
	}
	return m
}

// Seventeen heads with 1 HIP each beside four large stakes hold nothing: they neither open a secret nor block it.
func TestSmallStakesHoldNoShare(t *testing.T) {
	stakes := make([]uint64, 21)
	for i := range stakes {
		stakes[i] = 1000 * hip
		if i >= 4 {
			stakes[i] = hip
		}
	}
	w := committeeOf(t, stakes...)
	c := w.committee(0)
	if len(c.Keepers) != 4 || c.TotalShares() != 63 || c.Threshold != 42 {
		t.Fatalf("%d members with %d shares, of which %d open", len(c.Keepers), c.TotalShares(), c.Threshold)
	}
	for i := range stakes {
		if n := sharesOf(c, i); (i < 4) != (n >= 15) {
			t.Errorf("validator %d has %d shares", i, n)
		}
	}
	a := w.tenant("tenant")
	w.MustDeliver(a, without(w.createMsg(a, "three"), keeperName(0)))
	w.refused(computetypes.ErrReceipts, a, without(w.createMsg(a, "two"), keeperName(0), keeperName(1)))
}

// Receipts count as many shares as their signer has.
func TestReceiptsCountShares(t *testing.T) {
	w := committeeOf(t, 600*hip, 200*hip, 200*hip)
	c := w.committee(0)
	if sharesOf(c, 0) != 5 || sharesOf(c, 1) != 2 || sharesOf(c, 2) != 2 || c.Threshold != 6 {
		t.Fatalf("%+v", c)
	}
	a := w.tenant("tenant")
	w.MustDeliver(a, without(w.createMsg(a, "large-and-one"), keeperName(1)))
	w.refused(computetypes.ErrReceipts, a, without(w.createMsg(a, "large-alone"), keeperName(1), keeperName(2)))
	_, err := w.Deliver(a, without(w.createMsg(a, "two-of-three"), keeperName(0)))
	if err == nil || !strings.Contains(err.Error(), "receipts for 4 of 9 shares; 6 are needed") {
		t.Fatal(err)
	}
}

// A member that changes its keys in every block refuses no creation.
func TestKeyChangesRefuseNoCreation(t *testing.T) {
	w := committeeOf(t, 1000*hip, 1000*hip, 1000*hip, 1000*hip)
	a := w.tenant("tenant")
	delete(w.keepers, string(public(keeperName(3)))) // it gives no receipts either
	first := w.committee(0).Epoch
	for i := range 20 {
		msg := w.createMsg(a, fmt.Sprint("web-", i))
		change := keeperMsg(3, fmt.Sprint("changed-", i))
		change.Abandon = true
		w.MustDeliver(apptest.Operator(3), change)
		w.NextBlock(60)
		w.MustDeliver(a, msg)
	}
	if last := w.committee(0).Epoch; last > first+2 {
		t.Fatalf("%d epochs in 20 minutes", last-first)
	}
}

// The epoch rises with a member's keys or shares once the committee is old enough; not with an endpoint, which is known at once.
func TestEpochs(t *testing.T) {
	w := newWorld(t, nil, func(g *app.Genesis) { g.Keepers = nil })
	if c := w.committee(0); len(c.Keepers) != 0 || c.Threshold != 0 {
		t.Fatalf("%+v", c)
	}
	v := apptest.Operator(0)
	w.refused(registrytypes.ErrNotValidator, apptest.Named("miner0"), func() sdk.Msg {
		m := keeperMsg(0, "keeper")
		m.Operator = apptest.Named("miner0").Address
		return m
	}())
	short := keeperMsg(0, "keeper")
	short.HpkeKey = nil
	w.refused(registrytypes.ErrInvalid, v, short)
	w.MustDeliver(v, keeperMsg(0, "keeper"))
	c := w.committee(0)
	if len(c.Keepers) != 1 || c.TotalShares() != 1 || c.Threshold != 1 || c.Epoch != 1 || c.Since != w.Now() {
		t.Fatalf("the first committee is not there at once: %+v", c)
	}
	moved := keeperMsg(0, "keeper")
	moved.Endpoint, moved.Name = "new.example:7001", "renamed"
	w.MustDeliver(v, moved)
	if c := w.committee(0); c.Epoch != 1 || c.Keepers[0].Endpoint != moved.Endpoint || c.Keepers[0].Name != "renamed" {
		t.Fatalf("%+v", c)
	}

	// Other keys do not open what was dealt: they need the operator's word, and wait for the next epoch.
	other := keeperMsg(0, "other keeper")
	w.refused(registrytypes.ErrKeeperLocked, v, other)
	other.Abandon = true
	w.MustDeliver(v, other)
	a := w.tenant("tenant")
	w.miner("miner0")
	late, never := w.createMsg(a, "late"), w.createMsg(a, "never")
	w.NextBlock(599)
	if c := w.committee(0); c.Epoch != 1 || string(c.Keepers[0].Identity) != string(public("keeper")) {
		t.Fatalf("the committee changed within its epoch: %+v", c)
	}
	w.NextBlock(1)
	c = w.committee(0)
	if c.Epoch != 2 || string(c.Keepers[0].Identity) != string(other.Identity) || c.Since != w.Now() {
		t.Fatalf("%+v", c)
	}
	former := w.committee(1)
	if former.ReplacedAt != w.Now() || former.DealsUntil != w.Now()+600 || former.Keepers[0].Endpoint != "k.example:7000" && former.Keepers[0].Endpoint != moved.Endpoint {
		t.Fatalf("%+v", former)
	}

	// A deal to the former committee is good for ten minutes more.
	w.alive(590, 59, apptest.Named("miner0"))
	var made computetypes.MsgCreateVMResponse
	if err := w.MustDeliver(a, late).Response(0, &made); err != nil {
		t.Fatal(err)
	}
	w.NextBlock(10)
	w.refused(computetypes.ErrOldCommittee, a, never)
	// The VM needs it as long as it lives, and it is found as long.
	if !w.first() || w.committee(1).Keepers[0].Shares != 1 {
		t.Fatal("the committee of a live VM is forgotten")
	}
	w.NextBlock(24 * 3600)
	if !w.first() {
		t.Fatal("the committee of a live VM is forgotten")
	}
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: made.Id})
	if v := w.vm(made.Id); v.Status.Miner != "" {
		w.report(computetypes.VMReport{VmId: made.Id, InstanceSeq: v.Status.InstanceSeq, ObservedGeneration: v.Generation, Phase: computetypes.Phase_PHASE_TERMINATED})
	}
	if w.first() {
		t.Fatal("a committee that nobody needs is kept")
	}
}

// Without VMs a former committee is forgotten when it takes no more deals.
func TestUnusedCommitteeIsForgotten(t *testing.T) {
	w := newWorld(t, nil)
	change := keeperMsg(0, "other keeper")
	change.Abandon = true
	w.MustDeliver(apptest.Operator(0), change)
	w.NextBlock(600)
	w.NextBlock(599)
	if !w.first() {
		t.Fatal("it takes deals, and is forgotten")
	}
	w.NextBlock(1)
	if w.first() || w.committee(0).Epoch != 2 {
		t.Fatal("it is not forgotten")
	}
}

// A quarter of the shares gone waits for the next epoch; a third does not.
func TestThirdOfSharesGone(t *testing.T) {
	w := committeeOf(t, 1000*hip, 1000*hip, 1000*hip, 1000*hip)
	jail := func(i int) {
		v, err := w.App.Keepers.Staking.GetValidator(w.Ctx(), sdk.ValAddress(apptest.Operator(i).Acc()))
		if err != nil {
			t.Fatal(err)
		}
		address, err := v.GetConsAddr()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.App.Keepers.Staking.Jail(w.Ctx(), address); err != nil {
			t.Fatal(err)
		}
		w.NextBlock(1)
	}
	jail(3)
	w.NextBlock(30)
	if c := w.committee(0); c.Epoch != 1 || len(c.Keepers) != 4 {
		t.Fatalf("%+v", c)
	}
	jail(2)
	if c := w.committee(0); c.Epoch != 2 || len(c.Keepers) != 2 || c.TotalShares() != 6 || c.Threshold != 4 {
		t.Fatalf("%+v", c)
	}
	if c := w.committee(1); c.DealsUntil != w.Now()+600 {
		t.Fatalf("%+v", c)
	}
	// One of six shares' half gone at once again; nobody left is an epoch too, and no creation.
	jail(1)
	if c := w.committee(0); c.Epoch != 3 || len(c.Keepers) != 1 || c.Threshold != 1 {
		t.Fatalf("%+v", c)
	}
}

// The own stake of a member's operator stays while its keeper may hold shares of live VMs.
func TestOwnStakeIsLocked(t *testing.T) {
	w := committeeOf(t, 1000*hip, 1000*hip, 1000*hip, 1000*hip)
	op, a := apptest.Operator(3), w.tenant("tenant")
	to := sdk.ValAddress(op.Acc()).String()
	amount := func(n int64) sdk.Coin { return sdk.NewInt64Coin("uhip", n*hip) }
	undelegate := func(who apptest.Account, n int64) sdk.Msg {
		return stakingtypes.NewMsgUndelegate(who.Address, to, amount(n))
	}
	delegate := func(who apptest.Account, n int64) sdk.Msg {
		return stakingtypes.NewMsgDelegate(who.Address, to, amount(n))
	}
	id := w.create(a, "web-1")

	w.refused(registrytypes.ErrKeeperLocked, op, undelegate(op, 1))
	w.refused(registrytypes.ErrKeeperLocked, op, undelegate(op, 1000))
	w.refused(registrytypes.ErrKeeperLocked, op, stakingtypes.NewMsgBeginRedelegate(op.Address, to, sdk.ValAddress(apptest.Operator(0).Acc()).String(), amount(1)))
	// What is more than at the committee's begin is free, and so is what others delegate.
	w.MustDeliver(op, delegate(op, 5))
	w.MustDeliver(op, undelegate(op, 2))
	w.refused(registrytypes.ErrKeeperLocked, op, undelegate(op, 4))
	w.MustDeliver(op, undelegate(op, 3))
	other := apptest.Named("miner0")
	w.MustDeliver(other, delegate(other, 7))
	w.MustDeliver(other, undelegate(other, 7))

	// It leaves; the lock stays with the VM.
	leave := keeperMsg(3, keeperName(3))
	leave.Leaving = true
	w.MustDeliver(op, leave)
	w.NextBlock(600)
	if c := w.committee(0); c.Epoch != 2 || sharesOf(c, 3) != 0 || c.TotalShares() != 9 {
		t.Fatalf("%+v", c)
	}
	if c := w.committee(1); sharesOf(c, 3) != 3 {
		t.Fatalf("%+v", c)
	}
	w.NextBlock(601)
	w.NextBlock(1)
	w.refused(registrytypes.ErrKeeperLocked, op, undelegate(op, 1))
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	if p := w.vm(id).Status.Phase.Core(); p != vm.Terminated {
		t.Fatalf("the VM is %s", p)
	}
	w.MustDeliver(op, undelegate(op, 1000))
	w.NextBlock(600)
	// No other was freed.
	w.refused(registrytypes.ErrKeeperLocked, apptest.Operator(1), stakingtypes.NewMsgUndelegate(apptest.Operator(1).Address, sdk.ValAddress(apptest.Operator(1).Acc()).String(), amount(1)))
}

// What is taken from an operator outside of a transaction, as by a slash of what it redelegated, is not refused: a block must not fail.
func TestSlashIsNotRefused(t *testing.T) {
	w := committeeOf(t, 1000*hip, 1000*hip, 1000*hip, 1000*hip)
	op := apptest.Operator(3)
	val := sdk.ValAddress(op.Acc())
	take := func(n int64) {
		if _, _, err := w.App.Keepers.Staking.Undelegate(w.Ctx(), op.Acc(), val, sdkmath.LegacyNewDec(n*hip)); err != nil {
			t.Fatal(err)
		}
		w.NextBlock(1)
	}
	take(100)
	w.refused(registrytypes.ErrKeeperLocked, op, stakingtypes.NewMsgUndelegate(op.Address, val.String(), sdk.NewInt64Coin("uhip", 1)))
	w.MustDeliver(op, stakingtypes.NewMsgDelegate(op.Address, val.String(), sdk.NewInt64Coin("uhip", 5*hip)))
	take(905)
}

// Former committees, their counts and locks are in an export.
func TestExportOfCommittees(t *testing.T) {
	w := committeeOf(t, 1000*hip, 1000*hip, 1000*hip)
	a := w.tenant("tenant")
	w.create(a, "web-1")
	leave := keeperMsg(2, keeperName(2))
	leave.Leaving = true
	w.MustDeliver(apptest.Operator(2), leave)
	w.NextBlock(600)
	w.create(a, "web-2")
	g, err := w.App.Keepers.Registry.ExportGenesis(w.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	if len(g.Committees) != 2 || g.CommitteeEpoch != 2 || g.Committees[0].Instances != 8 || g.Committees[1].Instances != 8 || len(g.Locks) != 3 {
		t.Fatalf("%+v %+v", g.Committees, g.Locks)
	}
	b, ctx := w.again()
	if c, err := b.Keepers.Registry.CommitteeOf(ctx, 1); err != nil || len(c.Keepers) != 3 || c.DealsUntil != w.Now()+600 {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, spoil := range map[string]func(*registrytypes.GenesisState){
		"order": func(g *registrytypes.GenesisState) {
			g.Committees[0], g.Committees[1] = g.Committees[1], g.Committees[0]
		},
		"epoch":         func(g *registrytypes.GenesisState) { g.CommitteeEpoch = 1 },
		"not replaced":  func(g *registrytypes.GenesisState) { g.Committees[0].Committee.ReplacedAt = 0 },
		"threshold":     func(g *registrytypes.GenesisState) { g.Committees[1].Committee.Threshold++ },
		"no lock":       func(g *registrytypes.GenesisState) { g.Locks = g.Locks[1:] },
		"lock twice":    func(g *registrytypes.GenesisState) { g.Locks[1] = g.Locks[0] },
		"lock's count":  func(g *registrytypes.GenesisState) { g.Locks[0].Committees++ },
		"keeper shares": func(g *registrytypes.GenesisState) { g.Keepers[0].Shares = 1 },
	} {
		bad, err := w.App.Keepers.Registry.ExportGenesis(w.Ctx())
		if err != nil {
			t.Fatal(err)
		}
		spoil(bad)
		if bad.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
