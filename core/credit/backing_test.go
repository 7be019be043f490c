package credit

import (
	"testing"

	"pgregory.net/rapid"
)

// world is a market of credits under the rules of prices: buying at the highest of 7 days, releasing at the lowest.
type world struct {
	books    Books
	prices   Prices
	now      int64
	accounts []Balance
	// in is what was paid for an account's credits, out what consuming them released.
	in, out []uint64
}

func newWorld(t *rapid.T) *world {
	const accounts = 4
	return &world{
		prices: Prices{{UhipPerCredit: rapid.Uint64Range(1, 1e9).Draw(t, "price")}}, now: 1_800_000_000,
		accounts: make([]Balance, accounts), in: make([]uint64, accounts), out: make([]uint64, accounts),
	}
}

func (w *world) buy(t *rapid.T, who int, uhip uint64) {
	_, highest := w.prices.Range(w.now)
	got, err := Bought(uhip, highest)
	if err != nil {
		t.Skip("too much to buy")
	}
	if err := w.books.Buy(&w.accounts[who], uhip, got); err != nil {
		t.Skip("books full")
	}
	w.in[who] += uhip
}

func (w *world) consume(t *rapid.T, who int, ucredit uint64) uint64 {
	lowest, _ := w.prices.Range(w.now)
	r, err := w.books.Consume(&w.accounts[who], ucredit, lowest, DefaultShares(), true)
	if err != nil {
		t.Fatal(err)
	}
	w.out[who] += r.Uhip
	return r.Uhip
}

// Over any path of prices that the rule allows, and any strategy of buying, waiting and serving oneself, also with what
// that gave back and with any other accounts, consuming an account's credits releases at most what was paid for them:
// who gets back all of it, as the only miner that holds all the stake and the treasury, gets back what it paid. And the
// reserve is never overdrawn.
func TestNobodyTakesOutMoreThanWasPaidIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		who := func(t *rapid.T) int { return rapid.IntRange(0, len(w.accounts)-1).Draw(t, "who") }
		const trader = 0
		purse := rapid.Uint64Range(0, 1e15).Draw(t, "purse")
		start, gifts := purse, uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"price": func(t *rapid.T) {
				to := rapid.Uint64Range(1, 2e9).Draw(t, "to")
				old := w.prices.Current()
				if rapid.Bool().Draw(t, "largest step") { // as far as the rule lets it
					to = max(min(to, old+old/5), old-old/5)
				}
				next, err := w.prices.Change(w.now, to)
				if err == nil {
					w.prices = next
				}
			},
			"wait": func(t *rapid.T) { w.now += rapid.Int64Range(0, 3*DaySeconds).Draw(t, "seconds") },
			"days": func(*rapid.T) { w.now += DaySeconds },
			"buy": func(t *rapid.T) { // for oneself or for another
				a, uhip := who(t), rapid.Uint64Range(0, 1e15).Draw(t, "uhip")
				w.buy(t, a, uhip)
				if a == trader {
					gifts += uhip
				}
			},
			"consume": func(t *rapid.T) {
				a := who(t)
				ucredit := rapid.Uint64Range(0, w.accounts[a].Ucredit).Draw(t, "ucredit")
				if got := w.consume(t, a, ucredit); a == trader {
					purse += got
				}
			},
			"trader buys": func(t *rapid.T) {
				uhip := rapid.Uint64Range(0, purse).Draw(t, "uhip")
				w.buy(t, trader, uhip)
				purse -= uhip
			},
			"trader serves itself": func(t *rapid.T) { purse += w.consume(t, trader, w.accounts[trader].Ucredit) },
			"give to the buffer": func(t *rapid.T) {
				if err := w.books.Add(rapid.Uint64Range(0, 1e15).Draw(t, "uhip")); err != nil {
					t.Skip("books full")
				}
			},
			"spend the buffer": func(t *rapid.T) {
				if err := w.books.Spend(rapid.Uint64Range(0, w.books.Buffer).Draw(t, "uhip")); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				if err := w.books.Check(); err != nil {
					t.Fatal(err)
				}
				if err := w.prices.Validate(); err != nil {
					t.Fatal(err)
				}
				backing := w.books.Buffer
				for i, a := range w.accounts {
					if w.out[i] > w.in[i] {
						t.Fatalf("account %d: %d uhip paid in, %d released", i, w.in[i], w.out[i])
					}
					backing += a.Backing
				}
				if backing != w.books.Reserve {
					t.Fatalf("backings and buffer are %d uhip, the reserve %d", backing, w.books.Reserve)
				}
				if purse > start+gifts {
					t.Fatalf("the trader had %d uhip and was given %d, and has %d", start, gifts, purse)
				}
			},
		})
	})
}

// A trader buys cheaply while the price lags behind, then serves itself: out of a reserve that all share it took 55 909
// HIP for 25 000.
func TestLaggingPrice(t *testing.T) {
	const hip = 1_000_000
	var b Books
	var others, trader Balance
	if err := b.Buy(&others, 590_000*hip, 250_000*PerCredit); err != nil {
		t.Fatal(err)
	}
	if err := b.Buy(&trader, 25_000*hip, 25_000*PerCredit); err != nil {
		t.Fatal(err)
	}
	r, err := b.Consume(&trader, trader.Ucredit, 2_360_000, DefaultShares(), true)
	if err != nil || r.Uhip != 25_000*hip {
		t.Errorf("25 000 HIP in, %d out (%v)", r.Uhip/hip, err)
	}
}

func TestConsumeExample(t *testing.T) {
	b, a := Books{}, Balance{}
	if err := b.Buy(&a, 1000, 3000); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ucredit, lowest                uint64
		released, buffer, left, backed uint64
	}{
		{1000, 1_000_000, 333, 0, 2000, 667}, // worth more than its part
		{1000, 200_000, 200, 133, 1000, 334}, // worth less: the rest is the buffer's
		{1, 400_000, 0, 133, 999, 334},       // its part is below one uhip
		{999, 1_000_000, 334, 133, 0, 0},     // the whole balance takes the whole backing
	} {
		r, err := b.Consume(&a, c.ucredit, c.lowest, DefaultShares(), true)
		if err != nil || r.Uhip != c.released || b.Buffer != c.buffer || a.Ucredit != c.left || a.Backing != c.backed {
			t.Fatalf("%+v: released %d, buffer %d, %d ucredit backed by %d, %v", c, r.Uhip, b.Buffer, a.Ucredit, a.Backing, err)
		}
	}
}
