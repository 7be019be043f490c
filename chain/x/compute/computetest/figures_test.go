package computetest

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/client"
	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// figures has TestFigures measure, as 'make bench-chain' does. docs/figures.md explains each figure.
var figures = flag.Bool("figures", false, "print figures of the chain, lines of 'figure NAME VALUE UNIT'")

const (
	// perOwner VMs have the owners of the billing figures.
	perOwner = 4
	// billedSeconds are the blocks over which billing is measured.
	billedSeconds = 60
	// reportEvery is the interval in which miners report all their VMs, in seconds.
	reportEvery = 30
)

func figure(name string, value float64, unit string) {
	digits := 3
	for v := value; v >= 1 && digits > 0; v /= 10 {
		digits--
	}
	fmt.Printf("figure %s %.*f %s\n", name, digits, value, unit)
}

// thousands is a number as names of figures have it.
func thousands(n int) string { return fmt.Sprintf("%dk", n/1000) }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// TestFigures prints what parts of the chain cost, on a state in memory.
func TestFigures(t *testing.T) {
	if !*figures {
		t.Skip("measures for minutes: 'make bench-chain' runs it")
	}
	t.Run("reports", figuresOfReports)
	t.Run("orders", figuresOfOrders)
	t.Run("node", figuresOfNode)
	t.Run("state", figuresOfState)
	for _, n := range []int{1000, 10_000, 100_000, 300_000} {
		t.Run(fmt.Sprint("billing ", n), func(t *testing.T) { figuresOfBilling(t, n) })
	}
	for _, n := range []int{10_000, 100_000} {
		t.Run(fmt.Sprint("meters ", n), func(t *testing.T) { figuresOfMeters(t, n) })
	}
	for _, n := range []int{1000, 10_000} {
		t.Run(fmt.Sprint("placement ", n), func(t *testing.T) { figuresOfPlacement(t, n) })
	}
	t.Run("runout", figuresOfRunOut)
}

// proofs are a report of each VM, with its guest's proof of the last block.
func (p *populated) proofs(ids []string) (list []computetypes.VMReport) {
	for _, id := range ids {
		list = append(list, computetypes.VMReport{
			VmId: id, InstanceSeq: 1, ObservedGeneration: 1, SizeGeneration: 1, Phase: computetypes.PhaseOf(vm.Running),
			Proof: &computetypes.ProofReport{Height: p.Height(), Signature: signProof(id, p.Height(), apptest.BlockHash(p.Height()))},
		})
	}
	return list
}

// gasOf is what a batch of the miner takes, and how long its block.
func (p *populated) gasOf(miner apptest.Account, ids []string) (gas float64, took time.Duration, bytes int) {
	p.t.Helper()
	tx := p.Sign(miner, &computetypes.MsgReportVM{Miner: miner.Address, Reports: p.proofs(ids)})
	r := p.BlockOf(reportEvery, tx).TxResults[0]
	if refused := p.Events(computetypes.EventReported)[0][computetypes.AttributeRefused]; r.Code != 0 || refused != "0" {
		p.t.Fatalf("%s refused: %s", refused, r.Log)
	}
	return float64(r.GasUsed), p.Took(), len(tx)
}

// figuresOfReports are the gas and time of reports, and how many VMs a chain has room for.
func figuresOfReports(t *testing.T) {
	const batch = 40
	p := populateAs(t, slices.Concat([]int{1}, slices.Repeat([]int{batch}, 6)), 1)
	m, one, many := p.miners[0], p.ids[:1], p.ids[1:]
	p.NextBlock(1)
	alone, _, _ := p.gasOf(m, one)
	among, _, _ := p.gasOf(m, many[:1])
	first, _, _ := p.gasOf(m, many[:batch])
	figure("report_gas_of_tenant_with_1_vm", alone, "gas")
	figure("report_gas_of_tenant_with_40_vms", among, "gas")
	figure("report_gas_per_vm", first/batch, "gas")
	var last float64
	for range 2 * 3600 / reportEvery {
		last, _, _ = p.gasOf(m, many[:batch])
	}
	figure("report_gas_per_vm_after_2h", last/batch, "gas")

	n := float64(len(many))
	gas, took, bytes := p.gasOf(m, many)
	for range 10 {
		_, t, _ := p.gasOf(m, many)
		took = min(took, t)
	}
	lane := float64(app.LanePercent) / 100 * reportEvery
	byLimit := app.MaxBlockGas * lane * n / float64(client.ReportGas(len(many)))
	byBytes := app.MaxBlockBytes * lane * n / float64(bytes)
	figure("report_us_per_vm", float64(took.Microseconds())/n, "us")
	figure("vms_per_chain_at_1s_blocks", min(byLimit, byBytes), "VMs")
	figure("vms_per_chain_by_gas_used", app.MaxBlockGas*lane*n/gas, "VMs")
	figure("vms_per_chain_by_bytes", byBytes, "VMs")
	figure("vms_per_chain_by_time", 1000*lane*n/ms(took), "VMs")
}

// figuresOfOrders are how many orders a block executes in its time: renames, each in a transaction.
func figuresOfOrders(t *testing.T) {
	p := populate(t, 500, 1)
	var best time.Duration
	for round := range 5 {
		var txs [][]byte
		for i, a := range p.owners {
			txs = append(txs, p.Sign(a, &computetypes.MsgRenameVM{Owner: a.Address, VmId: p.ids[i], Name: fmt.Sprint("name-", round)}))
		}
		start := time.Now()
		for _, tx := range txs {
			if err := p.Check(tx); err != nil {
				t.Fatal(err)
			}
		}
		checked := time.Since(start)
		for _, r := range p.BlockOf(1, txs...).TxResults {
			if r.Code != 0 {
				t.Fatal(r.Log)
			}
		}
		if took := checked + p.Took(); best == 0 || took < best {
			best = took
		}
	}
	figure("chain_vm_ops_per_second_in_process", float64(len(p.owners))/best.Seconds(), "1/s")
}

// figuresOfState are the bytes of keys and values that a running VM adds, with eight instances of a committee of one.
func figuresOfState(t *testing.T) {
	const n = 40
	w := newWorld(t, nil)
	w.miner("miner0", large("miner0"))
	a := w.tenant("tenant")
	before := w.stateBytes()
	for i := range n {
		w.running(a, fmt.Sprint("vm-", i))
	}
	figure("state_bytes_per_vm", float64(w.stateBytes()-before)/n, "bytes")
}

func (w *world) stateBytes() (sum int) {
	w.t.Helper()
	byName, ok := w.App.CommitMultiStore().(interface {
		StoreKeysByName() map[string]storetypes.StoreKey
	})
	if !ok {
		w.t.Fatal("the stores have no names")
	}
	for _, key := range byName.StoreKeysByName() {
		it := w.Ctx().KVStore(key).Iterator(nil, nil)
		for ; it.Valid(); it.Next() {
			sum += len(it.Key()) + len(it.Value())
		}
		if err := it.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
	return sum
}

// billed runs blocks a second apart, and as many with no time between them, in which nothing is due. It gives the mean of both.
func (p *populated) billed() (due, idle time.Duration, meters int) {
	p.t.Helper()
	p.NextBlock(1)
	for range billedSeconds {
		p.NextBlock(1)
		due += p.Took()
		meters += len(p.Events("hippius.marketplace.meter_settled"))
		p.NextBlock(0)
		idle += p.Took()
	}
	return due / billedSeconds, idle / billedSeconds, meters
}

// figuresOfBilling are what billing adds to a block, with so many VMs of owners with four each.
func figuresOfBilling(t *testing.T, vms int) {
	t.Helper()
	p := populate(t, vms/perOwner, perOwner)
	due, idle, _ := p.billed()
	figure("billing_block_ms_"+thousands(vms), ms(due-idle), "ms")
	figure("idle_block_ms_"+thousands(vms), ms(idle), "ms")
}

// figuresOfMeters are what one settlement takes among so many meters, each of one VM.
func figuresOfMeters(t *testing.T, owners int) {
	t.Helper()
	p := populate(t, owners, 1)
	due, idle, meters := p.billed()
	figure("billing_us_per_meter_"+thousands(owners), float64(((due-idle)*billedSeconds).Microseconds())/float64(max(meters, 1)), "us")
}

// figuresOfPlacement are how many VMs a second are placed among so many miners with capacity.
func figuresOfPlacement(t *testing.T, miners int) {
	t.Helper()
	const vms, rounds = 100, 5
	w, tenants := crowdedWith(t, `{"params":{"max_candidates_per_block":1048576,"max_assignments_per_block":1}}`)
	w.Break()
	ids := w.wanted(vms+20, tenants)
	w.crowd(miners, func(_ int, m *registrytypes.MsgRegisterMiner) { small(8)(m) })
	w.NextBlock(1) // reading in order is slow among what is not committed
	p, err := w.App.Keepers.Compute.Params(w.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	p.MaxAssignmentsPerBlock = vms
	authority := authtypes.NewModuleAddress("gov").String()
	if _, err := computekeeper.NewMsgServer(w.App.Keepers.Compute).UpdateParams(w.Ctx(), &computetypes.MsgUpdateParams{Authority: authority, Params: p}); err != nil {
		t.Fatal(err)
	}
	before, best := w.placed(ids), time.Duration(math.MaxInt64)
	for range rounds {
		ctx, _ := w.Ctx().CacheContext()
		start := time.Now()
		if err := w.App.Keepers.Compute.EndBlock(ctx); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	w.NextBlock(0) // does the same
	n := w.placed(ids) - before
	if n < vms/2 {
		t.Fatalf("%d VMs are placed", n)
	}
	figure(fmt.Sprintf("placement_per_second_%s_miners", thousands(miners)), float64(n)/best.Seconds(), "1/s")
}

// figuresOfRunOut are the worst blocks in which 100 000 VMs run out of credit, are terminated and released.
func figuresOfRunOut(t *testing.T) {
	const vms = 100_000
	p := populate(t, vms/eachOwner, eachOwner)
	figure("runout_worst_block_ms_100k", ms(p.runOut().worst()), "ms")
	figure("spent_worst_block_ms_100k", ms(p.spend().worst()), "ms")
}
