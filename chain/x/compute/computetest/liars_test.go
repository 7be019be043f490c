package computetest

import (
	"fmt"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/vm"
)

// trial is a world of tenants that create their first VM, and of miners of which some never run what they are given.
type trial struct {
	*world
	tenants []apptest.Account
	// miners by operator, in order; liars are those that lie, and how.
	miners []string
	liars  map[string]lie
	// given is the time at which a miner was first seen to hold an instance.
	given map[string]int64
}

// lie is what a miner does with a VM that it was given and does not run.
type lie string

const (
	// neverBegins: it says nothing of the VM.
	neverBegins lie = "never begins"
	// failsAtOnce: it says that the VM failed, before it ran.
	failsAtOnce lie = "fails at once"
	// claimsItRan: it says after ten minutes that the guest gave no proof.
	claimsItRan lie = "claims it ran"
	// givesChainsReason: it fails at once, for the reason by which the chain gives a VM up, or another if that is refused.
	givesChainsReason lie = "gives a reason of the chain"
	// saysItIsOff: it says that the guest shut itself down.
	saysItIsOff lie = "says it is off"
)

var lies = []lie{neverBegins, failsAtOnce, claimsItRan, givesChainsReason, saysItIsOff}

func newTrial(t testing.TB, tenants int) *trial {
	t.Helper()
	w := newWorld(t, nil, func(g *app.Genesis) {
		g.Accounts = append(g.Accounts, app.GenesisAccount{Address: apptest.Named("bonds").Address, Uhip: 1000 * bond, Ucredit: credit.PerCredit})
		for i := range tenants {
			g.Accounts = append(g.Accounts, app.GenesisAccount{Address: apptest.Named(fmt.Sprint("first-", i)).Address, Ucredit: 20 * credit.PerCredit})
		}
	})
	tr := &trial{world: w, liars: map[string]lie{}, given: map[string]int64{}}
	var txs [][]byte
	for i := range tenants {
		a := apptest.Named(fmt.Sprint("first-", i))
		tr.tenants = append(tr.tenants, a)
		txs = append(txs, w.Sign(a,
			&meshtypes.MsgRegisterTenant{Owner: a.Address, CaPublicKey: public(a.Name + "-ca")},
			&computetypes.MsgAddSSHKey{Owner: a.Address, Name: "laptop", PublicKey: sshLine(t, a.Name) + " me@laptop"}))
	}
	tr.deliver(0, txs)
	w.Break() // the modules' invariants are checked once, at the end
	return tr
}

// deliver runs a block of transactions that must be good.
func (tr *trial) deliver(seconds int64, txs [][]byte) {
	tr.t.Helper()
	for _, r := range tr.BlockOf(seconds, txs...).TxResults {
		if r.Code != 0 {
			tr.t.Fatal(r.Log)
		}
	}
}

// join registers miners, without transactions, of which the first so many lie.
func (tr *trial) join(n, liars int, how lie, change func(liar bool, m *registrytypes.MsgRegisterMiner)) {
	tr.t.Helper()
	ctx := tr.Ctx()
	for i := range n {
		seed := hash(fmt.Sprint("trial", i))
		m := offer("miner1")
		m.Operator, m.Name, m.Identity = sdk.AccAddress(seed[:20]).String(), fmt.Sprint("trial-", i), seed
		change(i < liars, m)
		if err := tr.App.Keepers.Bank.SendCoins(ctx, apptest.Named("bonds").Acc(), seed[:20], sdk.NewCoins(sdk.NewInt64Coin(registrytypes.Denom, int64(m.BondUhip)))); err != nil {
			tr.t.Fatal(err)
		}
		if err := tr.App.Keepers.Registry.Register(ctx, m); err != nil {
			tr.t.Fatal(err)
		}
		tr.miners = append(tr.miners, m.Operator)
		if i < liars {
			tr.liars[m.Operator] = how
		}
	}
}

// run has each tenant create its first VM, so many in a block of ten seconds, until all run or have failed, and returns at which
// instance each runs, 0 for none, and the reasons of those that do not.
func (tr *trial) run(perBlock int) (runs []uint32, reasons map[string]int) {
	tr.t.Helper()
	var ids []string
	runs, reasons = make([]uint32, len(tr.tenants)), map[string]int{}
	for block, left := 0, len(tr.tenants); left > 0 && block < 1000; block++ {
		var txs [][]byte
		for len(txs) < perBlock && len(ids) < len(tr.tenants) {
			tr.serial = 0 // every tenant's VM has the same number
			a := tr.tenants[len(ids)]
			m := tr.createMsg(a, "web-1")
			id, err := vm.NewID(m.Owner, m.Nonce)
			if err != nil {
				tr.t.Fatal(err)
			}
			ids, txs = append(ids, string(id)), append(txs, tr.Sign(a, m))
		}
		tr.deliver(10, txs)
		for _, m := range tr.miners {
			if err := tr.App.Keepers.Registry.Seen(tr.Ctx(), m); err != nil {
				tr.t.Fatal(err)
			}
		}
		left = len(tr.tenants) - len(ids)
		for i, id := range ids {
			if runs[i] != 0 {
				continue
			}
			if !tr.settled(id) {
				left++
			}
			if v := tr.now(id); v.Status.Phase.Core() == vm.Running {
				runs[i] = v.Status.InstanceSeq
			}
		}
	}
	for i, id := range ids {
		if runs[i] == 0 {
			reasons[tr.vm(id).Status.Reason]++
		}
	}
	if err := tr.App.CheckInvariants(tr.Ctx()); err != nil {
		tr.t.Fatal(err)
	}
	return runs, reasons
}

// now is a VM as it is kept, without what queries add.
func (tr *trial) now(id string) computetypes.VM {
	tr.t.Helper()
	v, err := tr.App.Keepers.Compute.VM(tr.Ctx(), id)
	if err != nil {
		tr.t.Fatal(err)
	}
	return v
}

// settled lets the miner of a VM that does not run act, and reports whether nothing more will happen to the VM.
func (tr *trial) settled(id string) bool {
	tr.t.Helper()
	v := tr.now(id)
	failed := func(reason string) computetypes.VMReport {
		r := tr.says(id, vm.Failed)
		r.Reason = reason
		return r
	}
	p := v.Status.Phase.Core()
	if p != vm.Assigned && p != vm.Provisioning {
		return p == vm.Failed || p == vm.Stopped
	}
	how := tr.liars[v.Status.Miner]
	switch instance := fmt.Sprint(id, v.Status.InstanceSeq); {
	case how == "":
		tr.tell(v.Status.Miner, tr.says(id, vm.Provisioning), tr.proven(tr.says(id, vm.Running)))
	case how == failsAtOnce:
		tr.tell(v.Status.Miner, tr.says(id, vm.Provisioning), failed("start_failed"))
	case how == givesChainsReason:
		tr.tell(v.Status.Miner, tr.says(id, vm.Provisioning))
		if results, err := tr.reportOf(v.Status.Miner, failed(vm.ReasonNoAgent)); err != nil {
			tr.t.Fatal(err)
		} else if results[0].Code != 0 {
			tr.tell(v.Status.Miner, failed("no_agent_"))
		}
	case how == saysItIsOff:
		tr.tell(v.Status.Miner, tr.says(id, vm.Provisioning), tr.says(id, vm.Stopped))
	case how == claimsItRan && p == vm.Assigned:
		tr.given[instance] = tr.Now()
		tr.tell(v.Status.Miner, tr.says(id, vm.Provisioning))
	case how == claimsItRan && tr.Now()-tr.given[instance] >= 600:
		tr.tell(v.Status.Miner, failed(vm.ReasonBootTimeout))
	}
	return false
}

func (tr *trial) reportOf(miner string, reports ...computetypes.VMReport) ([]computetypes.ReportResult, error) {
	return tr.App.Keepers.Compute.Report(tr.Ctx(), &computetypes.MsgReportVM{Miner: miner, Reports: reports})
}

func (tr *trial) tell(miner string, reports ...computetypes.VMReport) {
	tr.t.Helper()
	results, err := tr.reportOf(miner, reports...)
	if err != nil {
		tr.t.Fatal(err)
	}
	for _, r := range results {
		if r.Code != 0 {
			tr.t.Fatalf("%s: %s error %d", r.VmId, r.Codespace, r.Code)
		}
	}
}

// late counts the VMs that do not run within three attempts.
func late(runs []uint32) (n int) {
	for _, seq := range runs {
		if seq == 0 || seq > 3 {
			n++
		}
	}
	return n
}

// Five miners that claim all that can be claimed, with the least bond, and run nothing.
func TestFiveLiarsDoNotEndCreation(t *testing.T) {
	for _, how := range lies {
		t.Run(string(how), func(t *testing.T) {
			tr := newTrial(t, 40)
			tr.join(25, 5, how, func(liar bool, m *registrytypes.MsgRegisterMiner) {
				if liar {
					m.Capacity.Cores, m.Capacity.MemoryMib, m.Capacity.DiskGib = 4096, 64<<20, 16<<20
				}
			})
			runs, reasons := tr.run(40)
			t.Logf("instances at which VMs run: %v; others: %v", runs, reasons)
			if n := late(runs); n != 0 {
				t.Errorf("%d of %d first VMs do not run within three attempts", n, len(runs))
			}
		})
	}
}

// Of a hundred miners with as much capacity each, some lie: at 30 % load first VMs run within three attempts.
func TestFirstVMsRunAmongLiars(t *testing.T) {
	for _, liars := range []int{5, 20} {
		for _, how := range lies {
			t.Run(fmt.Sprintf("%d %% %s", liars, how), func(t *testing.T) {
				tr := newTrial(t, 240)
				tr.join(100, liars, how, func(_ bool, m *registrytypes.MsgRegisterMiner) { small(8)(m) })
				runs, reasons := tr.run(20)
				counts := map[uint32]int{}
				for _, seq := range runs {
					counts[seq]++
				}
				t.Logf("VMs by the instance at which they run: %v; others: %v", counts, reasons)
				if n := late(runs); n*100 > len(runs) {
					t.Errorf("%d of %d first VMs do not run within three attempts", n, len(runs))
				}
			})
		}
	}
}
