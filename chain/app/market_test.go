package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/x/entry"
	marketkeeper "github.com/hippius/compute/chain/x/marketplace/keeper"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	"github.com/hippius/compute/core/plan"
)

const (
	sparkRunning = 8900
	sparkStopped = 900
	sparkHold    = sparkStopped * 24 * 37
)

// params lays JSON over the marketplace's parameters.
func params(text string) func(*app.Genesis) {
	return func(g *app.Genesis) {
		g.Overrides = map[string]json.RawMessage{"marketplace": json.RawMessage(`{"params":` + text + `}`)}
	}
}

type meterWorld struct {
	*apptest.Harness
	t      *testing.T
	k      *marketkeeper.Keeper
	tenant apptest.Account
	miner  apptest.Account
	lines  *lines
	// told are the seconds of the events given so far, by their type.
	told map[string][]int64
}

// block runs one and notes its events.
func (w *meterWorld) block(seconds int64) {
	w.t.Helper()
	w.NextBlock(seconds)
	for _, kind := range []string{markettypes.EventLow, markettypes.EventRunOut, markettypes.EventEnding, entry.EventFailed} {
		for range w.Events(kind) {
			w.told[kind] = append(w.told[kind], w.Now()-apptest.Start)
		}
	}
}

func newMeterWorld(t *testing.T, ucredit uint64, overrides string) *meterWorld {
	t.Helper()
	h := apptest.New(t, apptest.Options{
		Accounts: []apptest.Funds{{Name: "tenant", Uhip: 1000 * credit, Ucredit: ucredit}, {Name: "miner"}},
		Genesis:  params(overrides),
	})
	w := &meterWorld{Harness: h, t: t, k: h.App.Keepers.Marketplace, tenant: apptest.Named("tenant"), miner: apptest.Named("miner"), told: map[string][]int64{}}
	w.lines = newLines(w.k)
	return w
}

func (w *meterWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *meterWorld) run() {
	w.t.Helper()
	w.must(w.k.AddVM(w.Ctx(), w.tenant.Address, sparkStopped))
	w.must(w.k.SetRate(w.Ctx(), w.tenant.Address, sparkRunning))
	w.lines.running[w.tenant.Address] = true
}

// serve lets seconds pass in steps, each attested at its end as running or, when stopped, as disk.
func (w *meterWorld) serve(seconds, step int64) {
	w.t.Helper()
	for ; seconds > 0; seconds -= step {
		from := w.Now()
		w.block(step)
		rate := uint64(sparkStopped)
		if w.lines.running[w.tenant.Address] {
			rate = sparkRunning
		}
		w.must(w.lines.attest(w.tenant.Address, w.miner.Address, rate, from, w.Now()))
	}
	w.block(0)
}

func (w *meterWorld) meter() *markettypes.QueryMeterResponse {
	w.t.Helper()
	r, err := marketkeeper.NewQueryServer(w.k).Meter(w.Ctx(), &markettypes.QueryMeterRequest{Account: w.tenant.Address})
	w.must(err)
	return r
}

// settle has the meter looked at now.
func (w *meterWorld) settle() {
	w.t.Helper()
	w.must(w.k.BeforeBuy(w.Ctx(), w.tenant.Address))
}

func TestMeterIsExactAndHourly(t *testing.T) {
	w := newMeterWorld(t, 100*credit, `{}`)
	w.run()
	w.serve(1800, 30)
	m := w.meter()
	if m.UcreditPerHour != sparkRunning || m.Meter.Consumed+m.AccruedUcredit != sparkRunning/2 || m.HoldbackUcredit != sparkHold || !m.HasRunway {
		t.Fatalf("after half an hour: %+v", m)
	}
	if want := (m.BalanceUcredit - m.AccruedUcredit - sparkHold) * 3600 / sparkRunning; m.RunwaySeconds < want-1 || m.RunwaySeconds > want+1 {
		t.Errorf("runway %d, want about %d", m.RunwaySeconds, want)
	}
	w.serve(9*1800, 30)
	m = w.meter()
	if m.Meter.Consumed+m.AccruedUcredit != 5*sparkRunning || m.AccruedUcredit >= sparkRunning {
		t.Fatalf("after five hours: %+v", m)
	}
	w.NextBlock(90)
	w.settle()
	if b := balance(t, w.Harness, w.tenant); b.Ucredit != 100*credit-5*sparkRunning {
		t.Errorf("balance %d", b.Ucredit)
	}
	w.NextBlock(1)
	e, err := w.App.Keepers.Ranking.Earnings(w.Ctx(), w.miner.Address)
	if err != nil || e.ServedUcredit != 5*sparkRunning {
		t.Errorf("%+v %v", e, err)
	}
}

// Nothing is charged for time that was not attested, whatever the rate.
func TestUnattestedCostsNothing(t *testing.T) {
	w := newMeterWorld(t, 100*credit, `{}`)
	w.run()
	w.Run(7200, 60)
	if m := w.meter(); m.Meter.Consumed != 0 || m.AccruedUcredit != 0 {
		t.Errorf("%+v", m)
	}
}

func TestLagIsKept(t *testing.T) {
	w := newMeterWorld(t, 100*credit, `{}`)
	w.run()
	w.serve(60, 30)
	w.settle()
	if m := w.meter(); m.Meter.Consumed != 0 || m.AccruedUcredit != sparkRunning/60 {
		t.Fatalf("settled inside the lag: %+v", m)
	}
	w.NextBlock(90)
	w.settle()
	if m := w.meter(); m.Meter.Consumed != sparkRunning/60 {
		t.Fatalf("not settled after the lag: %+v", m)
	}
}

// From ten credits to nothing: warned once, stopped at the hold-back, disk
// charged until the balance is 0 and then terminated after two notices, then nothing more; a purchase begins anew.
func TestRunOut(t *testing.T) {
	const start = sparkHold + 30*sparkRunning // thirty hours
	w := newMeterWorld(t, start, `{"min_create_ucredit":"0"}`)
	w.run()
	w.serve(40*3600, 300)
	low, out := w.told[markettypes.EventLow], w.told[markettypes.EventRunOut]
	if len(low) != 1 || low[0] < 6*3600 || low[0] > 6*3600+600 {
		t.Errorf("warned at %v s, run-out is at 108000", low)
	}
	if len(out) != 1 || out[0] < 30*3600 || out[0] > 30*3600+300 {
		t.Fatalf("ran out at %v s, want 108000", out)
	}
	m := w.meter()
	if w.lines.running[w.tenant.Address] || m.UcreditPerHour != sparkStopped || m.Meter.RanOutAt != apptest.Start+out[0] {
		t.Fatalf("not stopped: %+v", m)
	}
	wantErr(t, w.k.RequireStart(w.Ctx(), w.tenant.Address), markettypes.ErrInsufficient, "held back", "missing")
	// What is held back pays the stopped disk for 37 days.
	for day := range 37 {
		notices := 0
		switch { // it ran out ten hours ago
		case day >= 36:
			notices = 2
		case day >= 30:
			notices = 1
		}
		if len(w.told[markettypes.EventEnding]) != notices || len(w.lines.ended) > 0 {
			t.Fatalf("day %d: notices %v, ended %v", day, w.told[markettypes.EventEnding], w.lines.ended)
		}
		w.serve(24*3600, 3600)
	}
	w.NextBlock(90)
	w.settle()
	m = w.meter()
	if m.BalanceUcredit != 0 || m.AccruedUcredit != 0 || m.Meter.Consumed != start {
		t.Fatalf("after 37 days: %+v", m)
	}
	consumed := m.Meter.Consumed
	w.serve(10*3600, 3600)
	w.settle()
	if len(w.lines.ended) != 1 {
		t.Errorf("ended: %v", w.lines.ended)
	}
	if m = w.meter(); m.Meter.Consumed != consumed || m.AccruedUcredit != 0 {
		t.Fatalf("charged without credit: %+v", m)
	}
	// A purchase does not pay for the time without credit.
	fee := mustPay(t, w.Harness, w.tenant, buy(w.tenant, w.tenant, 20*credit, ""))
	m = w.meter()
	if m.Meter.RanOutAt != 0 || m.BalanceUcredit != 20*credit-fee || len(w.Events(markettypes.EventRecovered)) != 1 {
		t.Fatalf("not recovered: %+v", m)
	}
	w.must(w.k.RequireStart(w.Ctx(), w.tenant.Address))
}

// Starting while out of credit is undone at the end of the block.
func TestStartWithoutCredit(t *testing.T) {
	w := newMeterWorld(t, sparkHold+10, `{}`)
	w.run()
	w.serve(60, 60)
	w.block(10)
	if w.lines.running[w.tenant.Address] {
		t.Fatal("still running")
	}
	calls := w.lines.calls
	w.must(w.k.SetRate(w.Ctx(), w.tenant.Address, sparkRunning-sparkStopped))
	w.lines.running[w.tenant.Address] = true
	w.NextBlock(1)
	if w.lines.running[w.tenant.Address] || w.lines.calls != calls+1 {
		t.Errorf("not stopped again: %d calls, then %d", calls, w.lines.calls)
	}
}

// A hook that fails is tried again and stops neither the chain nor the settlement.
func TestFailingHook(t *testing.T) {
	w := newMeterWorld(t, sparkHold+10, `{}`)
	w.run()
	w.lines.fail = errors.New("no")
	w.serve(60, 60)
	w.block(10)
	if len(w.told[entry.EventFailed]) != 1 || w.meter().AccruedUcredit == 0 {
		t.Fatalf("events %v, meter %+v", w.told, w.meter())
	}
	w.lines.fail = nil
	w.NextBlock(60)
	if w.lines.running[w.tenant.Address] {
		t.Error("not tried again")
	}
}

// At most so many meters a block; the rest carries over, the longest due first.
func TestSettlementsAreBounded(t *testing.T) {
	const n, bound = 25, 10
	var funds []apptest.Funds
	for i := range n {
		funds = append(funds, apptest.Funds{Name: "t" + string(rune('a'+i)), Ucredit: 50 * credit})
	}
	h := apptest.New(t, apptest.Options{Accounts: funds, Genesis: params(`{"max_settlements_per_block":10}`)})
	k, miner := h.App.Keepers.Marketplace, apptest.Named("miner").Address
	l := newLines(k)
	due := map[int64]int{}
	for _, f := range funds {
		a := apptest.Named(f.Name).Address
		if err := errors.Join(k.AddVM(h.Ctx(), a, sparkStopped), k.SetRate(h.Ctx(), a, sparkRunning)); err != nil {
			t.Fatal(err)
		}
	}
	h.NextBlock(30)
	for _, f := range funds {
		if err := l.attest(apptest.Named(f.Name).Address, miner, sparkRunning, h.Now()-30, h.Now()); err != nil {
			t.Fatal(err)
		}
		m, err := marketkeeper.NewQueryServer(k).Meter(h.Ctx(), &markettypes.QueryMeterRequest{Account: apptest.Named(f.Name).Address})
		if err != nil {
			t.Fatal(err)
		}
		due[m.Meter.NextDue]++
	}
	if len(due) < n/2 {
		t.Errorf("%d accounts are due in %d different seconds", n, len(due))
	}
	settled := 0
	for i := range 4 {
		h.NextBlock(map[bool]int64{true: 3600, false: 1}[i == 0])
		got := len(h.Events(markettypes.EventSettled))
		if got > bound {
			t.Fatalf("%d settled in one block", got)
		}
		settled += got
	}
	if settled != n {
		t.Errorf("%d of %d settled", settled, n)
	}
}

func TestCreateNeedsTenCredits(t *testing.T) {
	w := newMeterWorld(t, 9*credit+500_000, `{}`)
	wantErr(t, w.k.RequireCreate(w.Ctx(), w.tenant.Address), markettypes.ErrInsufficient, "takes 10 credits", "has 9.5", "0.5 are missing")
	q, err := marketkeeper.NewQueryServer(w.k).Quote(w.Ctx(), &markettypes.QueryQuoteRequest{Account: w.tenant.Address, Plan: "spark"})
	w.must(err)
	if q.MissingUcredit != 500_000 || q.RunningUcreditPerHour != sparkRunning || q.StoppedUcreditPerHour != sparkStopped || q.HoldbackUcredit != sparkHold {
		t.Errorf("%+v", q)
	}
	w.MustDeliver(w.tenant, buy(w.tenant, w.tenant, credit, ""))
	w.must(w.k.RequireCreate(w.Ctx(), w.tenant.Address))
	// The hold-back of what it would have is more than it has.
	for range 2 {
		w.must(w.k.AddVM(w.Ctx(), w.tenant.Address, 5_000))
	}
	wantErr(t, w.k.AddVM(w.Ctx(), w.tenant.Address, 5_000), markettypes.ErrInsufficient, "13.32 credits are held back", "missing")
	w.must(w.k.RemoveVM(w.Ctx(), w.tenant.Address, 5_000))
	wantErr(t, w.k.RemoveVM(w.Ctx(), w.tenant.Address, 5_001), markettypes.ErrMeter)
	wantErr(t, w.k.SetRate(w.Ctx(), w.tenant.Address, -1), markettypes.ErrMeter)
}

func TestCatalogue(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: credit}}})
	k, ctx := h.App.Keepers.Marketplace, h.Ctx()
	plans, err := marketkeeper.NewQueryServer(k).Plans(ctx, &markettypes.QueryPlansRequest{})
	if err != nil || len(plans.Plans) != 7 || plans.Plans[0].Plan.Name != "spark" || plans.Plans[6].RunningUcreditPerHour != 538100 {
		t.Fatalf("%v %v", plans, err)
	}
	_, err = k.Plan(ctx, "huge")
	wantErr(t, err, markettypes.ErrUnknownPlan, `"huge"`, "spark", "sovereign")
	_, err = k.Image(ctx, "x")
	wantErr(t, err, markettypes.ErrUnknownImage)
	_, err = k.App(ctx, "x")
	wantErr(t, err, markettypes.ErrUnknownApp, "docker")
	_, _, err = k.Quote(ctx, "huge")
	wantErr(t, err, markettypes.ErrUnknownPlan)

	a := apptest.Named("a")
	p := markettypes.PlanOf(plan.Plan{Name: "nano", Size: plan.Size{VCPUs: 1, MemoryMiB: 512, DiskGiB: 4, IOPS: 100, DiskBytesPerSecond: 1, NetworkBitsPerSecond: 1e6}})
	_, err = h.Deliver(a, &markettypes.MsgSetPlan{Authority: a.Address, Plan: p})
	wantErr(t, err, markettypes.ErrUnauthorized, "governance")
	gov := authtypes.NewModuleAddress("gov").String()
	server := marketkeeper.NewMsgServer(k)
	if _, err := server.SetPlan(h.Ctx(), &markettypes.MsgSetPlan{Authority: gov, Plan: p}); err != nil {
		t.Fatal(err)
	}
	if r, s, err := k.Quote(h.Ctx(), "nano"); err != nil || r != 4000+1000+200 || s != 200 {
		t.Errorf("%d %d %v", r, s, err)
	}
	p.DiskGib = 0
	_, err = server.SetPlan(h.Ctx(), &markettypes.MsgSetPlan{Authority: gov, Plan: p})
	wantErr(t, err, markettypes.ErrInvalid, "GiB of disk")
	if _, err := server.SetPlan(h.Ctx(), &markettypes.MsgSetPlan{Authority: gov, Plan: p, Remove: true}); err != nil {
		t.Fatal(err)
	}
	_, err = server.SetPlan(h.Ctx(), &markettypes.MsgSetPlan{Authority: gov, Plan: p, Remove: true})
	wantErr(t, err, markettypes.ErrUnknownPlan)
}

// The catalogue is listed in one answer, so it has a bound; what is there may still be replaced.
func TestCatalogueIsBounded(t *testing.T) {
	h := apptest.New(t, apptest.Options{})
	server := marketkeeper.NewMsgServer(h.App.Keepers.Marketplace)
	ctx, gov := h.Ctx(), authtypes.NewModuleAddress("gov").String()
	add := func(i int) error {
		p := plan.Defaults()[0]
		p.Name = fmt.Sprintf("plan-%d", i)
		_, err := server.SetPlan(ctx, &markettypes.MsgSetPlan{Authority: gov, Plan: markettypes.PlanOf(p)})
		return err
	}
	there := len(plan.Defaults())
	for i := there; i < markettypes.MaxEntries; i++ {
		if err := add(i); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, add(markettypes.MaxEntries), markettypes.ErrInvalid, "500 entries")
	if err := add(there); err != nil {
		t.Errorf("an entry that is there: %v", err)
	}
}
