package computetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

// hostedPerMiner of the VMs of a populated world, at most.
const hostedPerMiner = 256

// populated is a world in which many VMs run, all sparks. They are written to the modules' state as an import does, since an
// order for each would take minutes. The parameters are the shipped ones, but for those of newcomers, which all miners would be.
type populated struct {
	*world
	owners, miners []apptest.Account
	// ids in the order of their owners.
	ids []string
}

// populate has so many owners with so many VMs each.
func populate(t testing.TB, owners, each int) *populated {
	t.Helper()
	return populateAs(t, slices.Repeat([]int{each}, owners), max(each, owners*each/hostedPerMiner+1))
}

// populateAs has an owner for each number of VMs, which their guests proved a minute ago. They are on the miners in turn, and an
// owner's have different priorities.
func populateAs(t testing.TB, counts []int, miners int) *populated {
	t.Helper()
	p := &populated{}
	vms := 0
	for i, n := range counts {
		p.owners = append(p.owners, apptest.Named(fmt.Sprint("owner", i)))
		vms += n
	}
	for i := range miners {
		p.miners = append(p.miners, apptest.Named(fmt.Sprint("host", i)))
	}
	p.world = newWorld(t, map[string]string{"registry": noNewcomers}, func(g *app.Genesis) {
		for _, a := range p.owners {
			g.Accounts = append(g.Accounts, app.GenesisAccount{Address: a.Address, Uhip: bond, Ucredit: 1000 * credit.PerCredit})
		}
		for _, a := range p.miners {
			g.Accounts = append(g.Accounts, app.GenesisAccount{Address: a.Address, Uhip: 4 * bond})
		}
	})
	p.Break() // what is loaded part by part adds up at the end; then the tests check the invariants when they have the time
	k := p.App.Keepers
	for _, a := range p.miners {
		m := offer(a.Name)
		m.BondUhip = 3 * bond // covers what is offered
		m.Capacity.Cores, m.Capacity.MemoryMib, m.Capacity.DiskGib = 2*hostedPerMiner, 2*hostedPerMiner*2048, 2*hostedPerMiner*18
		if err := k.Registry.Register(p.Ctx(), m); err != nil {
			t.Fatal(err)
		}
	}
	committee, err1 := k.Registry.Committee(p.Ctx())
	params, err2 := k.Compute.Params(p.Ctx())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	g := computetypes.GenesisState{Params: params}
	for i, a := range p.owners {
		g.Keys = append(g.Keys, computetypes.SSHKey{
			Owner: a.Address, Name: "laptop", PublicKey: sshLine(t, "laptop"), Fingerprint: "SHA256:laptop", UsedBy: uint32(counts[i]),
		})
		g.Vms = append(g.Vms, p.vmsOf(a, counts[i], committee.Epoch)...)
		if i%500 == 499 {
			p.NextBlock(0) // reading in order is slow among what is not committed
		}
	}
	err1 = k.Registry.HoldCommittee(p.Ctx(), committee.Epoch, uint64(vms))
	err2 = k.Compute.InitGenesis(p.Ctx(), g)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	p.NextBlock(0)
	if err := p.App.CheckInvariants(p.Ctx()); err != nil {
		t.Fatal(err)
	}
	return p
}

// vmsOf an owner, with what other modules keep of them.
func (p *populated) vmsOf(a apptest.Account, n int, epoch uint64) (list []computetypes.VM) {
	p.t.Helper()
	k, ctx := p.App.Keepers, p.Ctx()
	if _, err := k.Mesh.RegisterTenant(ctx, &meshtypes.MsgRegisterTenant{Owner: a.Address, CaPublicKey: public(a.Name)}); err != nil {
		p.t.Fatal(err)
	}
	block := p.block(a)
	for i := range n {
		nonce := sha256.Sum256(fmt.Append(nil, a.Name, i))
		id, err := vm.NewID(a.Address, nonce[:vm.NonceSize])
		if err != nil {
			p.t.Fatal(err)
		}
		addr, err := block.Block().Addr(uint32(2 + i))
		if err != nil {
			p.t.Fatal(err)
		}
		miner := p.miners[len(p.ids)%len(p.miners)].Address
		v := computetypes.VM{
			Id: string(id), Owner: a.Address, Nonce: nonce[:vm.NonceSize], Generation: 1, CreatedAt: p.Now(),
			RunningRate: spark, StoppedRate: sparkHD, Size_: computetypes.SizeOf(sparkSize()), Arch: "amd64",
			Spec: computetypes.VMSpec{
				Name: fmt.Sprint("vm-", i), Plan: "spark", Image: "debian-12", SshKeys: []string{"laptop"}, MeshAddress: addr.String(),
				HostCa: public("host-ca"), Power: computetypes.Power_POWER_ON, Agent: computetypes.AgentMode_AGENT_MODE_GUEST,
				OnSilence: computetypes.OnSilence_ON_SILENCE_REBOOT, Priority: uint32(i * 7 % n),
			},
			Status: computetypes.VMStatus{
				Phase: computetypes.PhaseOf(vm.Running), Miner: miner, InstanceSeq: 1, ProvenInstance: 1, HasData: true, ObservedGeneration: 1,
				ReadyAt: p.Now() - 60, PhaseSince: p.Now() - 60, Deadline: p.Now() + 7*24*3600,
				Attestation: computetypes.Attestation{LastAt: p.Now(), InstanceSeq: 1, Proven: true, RunningSeconds: 60, OwedUnits: 60 * spark},
			},
			Instances: []computetypes.Instance{{
				Seq: 1, CommitmentHash: nonce[:], BundleHash: nonce[:], GuestKey: public("guest"), MeshCertFingerprint: nonce[:], CommitteeEpoch: epoch,
				Receipts: []computetypes.KeeperReceipt{{Keeper: public("keeper"), Signature: slices.Concat(nonce[:], nonce[:])}},
			}},
		}
		if err := k.Registry.Hold(ctx, miner, v.Core().Holds()); err != nil {
			p.t.Fatal(err)
		}
		if err := k.Mesh.VMAdded(ctx, a.Address); err != nil {
			p.t.Fatal(err)
		}
		p.ids = append(p.ids, v.Id)
		list = append(list, v)
	}
	if err := k.Marketplace.AddVM(ctx, a.Address, uint64(n)*sparkHD); err != nil {
		p.t.Fatal(err)
	}
	if err := k.Marketplace.SetRate(ctx, a.Address, int64(n)*spark); err != nil {
		p.t.Fatal(err)
	}
	return list
}

func sparkSize() plan.Size {
	plans := plan.Defaults()
	return plans[slices.IndexFunc(plans, func(p plan.Plan) bool { return p.Name == "spark" })].Size
}

// drain leaves owners with their hold-back and so much more, at most.
func (p *populated) drain(beyond uint64, owners ...apptest.Account) {
	p.t.Helper()
	k, ctx := p.App.Keepers, p.Ctx()
	for _, a := range owners {
		st := p.statement(a)
		if st.BalanceUcredit <= st.HoldbackUcredit+beyond {
			continue
		}
		if err := k.Credits.Consume(ctx, a.Address, st.BalanceUcredit-st.HoldbackUcredit-beyond, p.miners[0].Address); err != nil {
			p.t.Fatal(err)
		}
		if err := k.Marketplace.AfterBuy(ctx, a.Address); err != nil {
			p.t.Fatal(err)
		}
	}
}

// reportAll delivers a report of every VM as it stands on chain, changed as wanted, without transactions.
func (p *populated) reportAll(change func(*computetypes.VMReport)) {
	p.t.Helper()
	batches := map[string][]computetypes.VMReport{}
	for _, id := range p.ids {
		v, err := p.App.Keepers.Compute.VM(p.Ctx(), id)
		if err != nil {
			p.t.Fatal(err)
		}
		r := computetypes.VMReport{
			VmId: id, InstanceSeq: v.Status.InstanceSeq, ObservedGeneration: v.Generation, SizeGeneration: v.Generation, ObservedRebootSeq: v.Spec.RebootSeq,
			Phase: v.Status.Phase,
		}
		change(&r)
		batches[v.Status.Miner] = append(batches[v.Status.Miner], r)
	}
	for _, m := range p.miners {
		results, err := p.App.Keepers.Compute.Report(p.Ctx().WithEventManager(sdk.NewEventManager()), &computetypes.MsgReportVM{Miner: m.Address, Reports: batches[m.Address]})
		if err != nil {
			p.t.Fatal(err)
		}
		for _, r := range results {
			if r.Code != 0 {
				p.t.Fatalf("%s: %s error %d", r.VmId, r.Codespace, r.Code)
			}
		}
	}
}
