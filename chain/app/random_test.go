package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/hippius/compute/chain/app/apptest"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
)

// history does the same things for the same seed: purchases, fees, service,
// claims, prices up and down, time. The modules' invariants hold after every block.
func history(t *testing.T, seed uint64, steps int) *apptest.Harness {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	var funds []apptest.Funds
	var people []apptest.Account
	for i := range 5 {
		name := fmt.Sprintf("p%d", i)
		funds = append(funds, apptest.Funds{Name: name, Uhip: 500 * credit, Ucredit: rng.Uint64N(20 * credit)})
		people = append(people, apptest.Named(name))
	}
	h := apptest.New(t, apptest.Options{Accounts: funds, Genesis: params(`{"settle_lag_seconds":"30","settle_interval_seconds":"300"}`)})
	k := h.App.Keepers
	l := newLines(k.Marketplace)
	who := func() apptest.Account { return people[rng.IntN(len(people))] }
	gov := authtypes.NewModuleAddress("gov").String()
	for range steps {
		a, m := who(), who()
		switch rng.IntN(9) {
		case 0:
			_, _ = h.Deliver(a, buy(a, m, rng.Uint64N(30*credit), "")) // may be refused: paused, too little
		case 1:
			_, _ = h.Deliver(a, &rankingtypes.MsgClaimEarnings{Operator: a.Address}) // may have earned nothing
		case 2:
			p, err := k.Credits.Params(h.Ctx())
			if err != nil {
				t.Fatal(err)
			}
			old := p.UhipPerCredit
			p.UhipPerCredit = old - old/5 + rng.Uint64N(2*(old/5)+1)
			h.NextBlock(daySeconds)
			if err := setPrice(h, p.UhipPerCredit); err != nil {
				t.Fatal(err)
			}
		case 7:
			_, _ = h.Deliver(a, &creditstypes.MsgAddToReserve{Sender: a.Address, Uhip: 1 + rng.Uint64N(credit)})
		case 8: // may be more than the buffer has
			_ = k.Credits.SpendBuffer(h.Ctx(), &creditstypes.MsgSpendBuffer{Authority: gov, Recipient: []string{m.Address, "stakers", "treasury"}[rng.IntN(3)], Uhip: 1 + rng.Uint64N(credit)})
		case 3:
			_ = k.Marketplace.SetRate(h.Ctx(), a.Address, rng.Int64N(200_000)-60_000) // may fall below 0
		default:
			from := h.Now()
			h.NextBlock(1 + rng.Int64N(60))
			if err := l.attest(a.Address, m.Address, rng.Uint64N(2*credit*3600/60), from, h.Now()); err != nil {
				t.Fatal(err)
			}
		}
		h.NextBlock(rng.Int64N(30))
	}
	return h
}

func TestMoneyHoldsWhateverHappens(t *testing.T) {
	for seed := range uint64(12) {
		h := history(t, seed, 80)
		v := totals(t, h)
		if v.ConsumedUcredit == 0 || v.ReleasedMinersUhip == 0 {
			t.Errorf("seed %d: nothing happened: %+v", seed, v)
		}
	}
}

// Every validator comes to the same state.
func TestSameHistorySameHash(t *testing.T) {
	a, b := history(t, 7, 40), history(t, 7, 40)
	if !bytes.Equal(a.Last().AppHash, b.Last().AppHash) || a.Height() != b.Height() {
		t.Fatalf("%x at %d, %x at %d", a.Last().AppHash, a.Height(), b.Last().AppHash, b.Height())
	}
	c := history(t, 8, 40)
	if bytes.Equal(a.Last().AppHash, c.Last().AppHash) {
		t.Error("another history has the same hash")
	}
}

// A chain that starts from an exported state has that state, to the byte, and its invariants hold.
func TestExportAndImport(t *testing.T) {
	h := history(t, 3, 60)
	fork, exported := h.Fork()
	var x, y map[string]json.RawMessage
	if err := json.Unmarshal(exported, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(fork.Imported(), &y); err != nil {
		t.Fatal(err)
	}
	for module := range x {
		if !bytes.Equal(x[module], y[module]) {
			t.Errorf("%s before %.2000s\nafter %.2000s", module, x[module], y[module])
		}
	}
	if len(x) != len(y) {
		t.Errorf("%d modules before, %d after", len(x), len(y))
	}
	fork.NextBlock(1)
	if got, want := fork.Height(), h.Height()+1; got != want {
		t.Errorf("the first block after it has height %d, want %d", got, want)
	}
}
