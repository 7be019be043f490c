package computetest

import (
	"testing"
	"time"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditskeeper "github.com/hippius/compute/chain/x/credits/keeper"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	marketkeeper "github.com/hippius/compute/chain/x/marketplace/keeper"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	"github.com/hippius/compute/core/vm"
)

// scaleWorld is a populated world whose miners report, and whose tenants act.
type scaleWorld struct {
	*populated
	size   scale
	hosts  []*host
	guests []*guest
	byID   map[string]*guest
	// orders are for the next block.
	orders           [][]byte
	resized, started int
	// drained owners run out.
	drained map[string]bool
}

type host struct {
	account apptest.Account
	guests  []*guest
}

// guest is a VM as the test follows it.
type guest struct {
	id    string
	owner apptest.Account
	v     computetypes.VM // as it last changed
	// proven is what its proofs attest, in units, up to until; 0 while it does not run. most is what it would be billed for all time.
	proven, most uint64
	until, since int64
}

// hourOf is what an hour took.
type hourOf struct {
	reports, gas, endGas, blocks uint64
	stopped                      int
	took                         time.Duration
}

func newScaleWorld(t testing.TB, size scale) *scaleWorld {
	t.Helper()
	counts := unevenly(size.vms, size.tenants)
	s := &scaleWorld{populated: populateAs(t, counts, size.miners), size: size, byID: map[string]*guest{}, drained: map[string]bool{}}
	for _, m := range s.miners {
		s.hosts = append(s.hosts, &host{account: m})
	}
	for i, n := range counts {
		for range n {
			g := &guest{id: s.ids[len(s.guests)], owner: s.owners[i], proven: 60 * spark, most: 60 * spark, until: s.Now(), since: s.Now()}
			h := s.hosts[len(s.guests)%len(s.hosts)]
			h.guests = append(h.guests, g)
			s.guests, s.byID[g.id] = append(s.guests, g), g
		}
	}
	for _, g := range s.guests {
		s.refresh(g)
	}
	return s
}

// refresh reads a VM that changed.
func (s *scaleWorld) refresh(g *guest) {
	s.t.Helper()
	v, err := s.App.Keepers.Compute.VM(s.Ctx(), g.id)
	if err != nil {
		s.t.Fatal(err)
	}
	g.pass(s.Now())
	if g.v = v; !v.Status.Phase.Core().On() {
		g.until = 0
	}
}

// pass notes that time went by at the present rate.
func (g *guest) pass(now int64) {
	if now > g.since {
		g.most += uint64(now-g.since) * g.v.RunningRate
	}
	g.since = now
}

// turn are the hosts that report in a block.
func (s *scaleWorld) turn(b int) (list []*host) {
	groups := int(s.size.every / blockSeconds)
	for i := b % groups; i < len(s.hosts); i += groups {
		list = append(list, s.hosts[i])
	}
	return list
}

// report is what a VM's host says of it, with the guest's proof of the last block if it runs.
func (s *scaleWorld) report(g *guest, signature []byte) computetypes.VMReport {
	r := computetypes.VMReport{
		VmId: g.id, InstanceSeq: g.v.Status.InstanceSeq, ObservedGeneration: g.v.Generation, SizeGeneration: g.v.Generation,
		ObservedRebootSeq: g.v.Spec.RebootSeq, Phase: computetypes.PhaseOf(vm.Stopped),
	}
	if g.v.Spec.Power == computetypes.Power_POWER_ON {
		r.Phase = computetypes.PhaseOf(vm.Running)
		r.Proof = &computetypes.ProofReport{Height: s.Height(), Signature: signature}
	}
	return r
}

// block runs the reports of the hosts whose turn it is, and what tenants ordered.
func (s *scaleWorld) block(b int, signatures [][]byte, hour *hourOf) {
	s.t.Helper()
	hour.endGas += s.endGas()
	proofAt := s.Now()
	turn, txs := s.turn(b), s.orders
	s.orders = nil
	first := len(txs)
	for _, h := range turn {
		var reports []computetypes.VMReport
		for _, g := range h.guests {
			reports = append(reports, s.report(g, signatures[0]))
			signatures = signatures[1:]
		}
		txs = append(txs, s.Sign(h.account, &computetypes.MsgReportVM{Miner: h.account.Address, Reports: reports}))
	}
	start := time.Now()
	results := s.BlockOf(blockSeconds, txs...).TxResults
	hour.took += time.Since(start)
	for i, r := range results {
		if r.Code != 0 {
			s.t.Fatalf("%s: transaction %d of %d: %s", s, i, len(txs), r.Log)
		}
	}
	hour.blocks++
	for _, e := range s.Events(computetypes.EventReported) {
		if e[computetypes.AttributeRefused] != "0" {
			s.t.Fatalf("%s: %v", s, e)
		}
	}
	for i, h := range turn {
		hour.reports += uint64(len(h.guests))
		hour.gas += uint64(s.Last().TxResults[first+i].GasUsed)
		for _, g := range h.guests {
			g.prove(proofAt, s.Now())
		}
	}
	s.follow(hour)
}

// prove notes that a host reported the guest at a time, with a proof of a time if it runs.
func (g *guest) prove(at, now int64) {
	switch {
	case g.v.Spec.Power != computetypes.Power_POWER_ON:
	case g.until == 0:
		g.until = now // a run is charged from its host's first report
	case at > g.until:
		g.proven += uint64(min(at-g.until, proofGap)) * g.v.RunningRate
		g.until = at
	}
}

// follow reads what changed in the last block.
func (s *scaleWorld) follow(hour *hourOf) {
	s.t.Helper()
	for _, kind := range []string{computetypes.EventVMPhase, computetypes.EventVMRequested, computetypes.EventVMResized} {
		for _, e := range s.Events(kind) {
			g := s.byID[e[computetypes.AttributeVM]]
			s.refresh(g)
			if kind == computetypes.EventVMPhase && e[computetypes.AttributeReason] == vm.ReasonCreditRunOut && e[computetypes.AttributePhase] == vm.Stopping.String() {
				hour.stopped++
			}
		}
	}
}

// endGas is the work of the next block's end, as gas of what it reads and writes.
func (s *scaleWorld) endGas() uint64 {
	s.t.Helper()
	ctx, _ := s.Ctx().CacheContext()
	ctx = ctx.WithBlockTime(ctx.BlockTime().Add(blockSeconds * time.Second)).WithGasMeter(storetypes.NewInfiniteGasMeter())
	for _, end := range []func() error{
		func() error { return s.App.Keepers.Marketplace.EndBlock(ctx) },
		func() error { return s.App.Keepers.Compute.EndBlock(ctx) },
		func() error { return s.App.Keepers.Credits.EndBlock(ctx) },
	} {
		if err := end(); err != nil {
			s.t.Fatal(err)
		}
	}
	return ctx.GasMeter().GasConsumed()
}

// act is what happens beside the reports: in each block a VM gets another size; early in each hour prices change and one tenant
// in a hundred is left with credit for ten minutes; half an hour later these buy credits, and then start their VMs again.
func (s *scaleWorld) act(b int) {
	s.t.Helper()
	const perHour = hourSeconds / blockSeconds
	switch hour := b / perHour; b % perHour {
	case 0:
		s.changePrices(hour == 1)
	case 4:
		for i := hour; i < len(s.owners); i += 100 {
			s.drain(s.rate(s.owners[i])*proofGap/uint64(max(s.size.every, proofGap))/6, s.owners[i])
			s.drained[s.owners[i].Address] = true
		}
	case perHour / 2:
		for i := hour; i < len(s.owners); i += 100 {
			a := s.owners[i]
			s.orders = append(s.orders, s.Sign(a, buy(a, a, 60)))
		}
	case perHour/2 + 1:
		for _, g := range s.guests {
			if !s.drained[g.owner.Address] || g.v.Spec.Power == computetypes.Power_POWER_ON {
				continue
			}
			s.orders = append(s.orders, s.Sign(g.owner, &computetypes.MsgStartVM{Owner: g.owner.Address, VmId: g.id}))
			s.started++
		}
		clear(s.drained)
	}
	s.resize(s.guests[b*37%len(s.guests)])
}

// resize orders the other of two sizes for a VM that runs.
func (s *scaleWorld) resize(g *guest) {
	if s.drained[g.owner.Address] || g.v.Status.Phase.Core() != vm.Running {
		return
	}
	to := "pulse"
	if g.v.Spec.Plan == to {
		to = "spark"
	}
	s.orders = append(s.orders, s.Sign(g.owner, &computetypes.MsgResizeVM{Owner: g.owner.Address, VmId: g.id, Plan: to}))
	s.resized++
}

// changePrices raises the price of a vCPU by a twentieth, and that of a credit, which changes once a day, by a tenth.
func (s *scaleWorld) changePrices(ofCredits bool) {
	s.t.Helper()
	k, ctx := s.App.Keepers, s.Ctx().WithEventManager(sdk.NewEventManager())
	authority := authtypes.NewModuleAddress("gov").String()
	market, err := k.Marketplace.Params(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	market.VcpuHourUcredit += market.VcpuHourUcredit / 20
	if _, err := marketkeeper.NewMsgServer(k.Marketplace).UpdateParams(ctx, &markettypes.MsgUpdateParams{Authority: authority, Params: market}); err != nil {
		s.t.Fatal(err)
	}
	if !ofCredits {
		return
	}
	money, err := k.Credits.Params(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	money.UhipPerCredit += money.UhipPerCredit / 10
	if _, err := creditskeeper.NewMsgServer(k.Credits).UpdateParams(ctx, &creditstypes.MsgUpdateParams{Authority: authority, Params: money}); err != nil {
		s.t.Fatal(err)
	}
}

// signProof is the guest's signature of a block, of a VM at its first instance.
func signProof(id string, height int64, hash []byte) []byte {
	return vm.SignProof(guestKey, apptest.ChainID, vm.ID(id), 1, height, hash)
}

// guestKey is that of all guests of a populated world.
var guestKey = key("guest")
