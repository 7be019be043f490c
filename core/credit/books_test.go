package credit

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func genShares(t *rapid.T) Shares {
	m := rapid.Uint32Range(0, Parts).Draw(t, "miner")
	s := rapid.Uint32Range(0, Parts-m).Draw(t, "stakers")
	return Shares{Miner: m, Stakers: s, Treasury: Parts - m - s}
}

func TestSplitKeepsEveryUnit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, uhip, served := genShares(t), rapid.Uint64().Draw(t, "uhip"), rapid.Bool().Draw(t, "served")
		r := s.Split(uhip, served)
		if r.Uhip != uhip || r.Miner+r.Stakers+r.Treasury != uhip {
			t.Fatalf("%d split into %+v", uhip, r)
		}
		if !served && r.Miner != 0 {
			t.Fatalf("nobody served, yet %+v", r)
		}
		// Dust: less than one uhip from each of two roundings.
		exact, err := mulDiv(uhip, uint64(s.Treasury), Parts)
		if err != nil || r.Treasury < exact || r.Treasury-exact > 2 {
			t.Fatalf("treasury got %d of %d, its share is %d", r.Treasury, uhip, exact)
		}
	})
}

func TestSplitExample(t *testing.T) {
	for _, c := range []struct {
		uhip   uint64
		served bool
		want   Release
	}{
		{1000, true, Release{1000, 600, 300, 100}},
		{1000, false, Release{1000, 0, 900, 100}},
		{7, true, Release{7, 4, 2, 1}},
		{1, true, Release{1, 0, 0, 1}},
		{0, true, Release{}},
		{math.MaxUint64, true, Release{math.MaxUint64, 11068046444225730969, 5534023222112865484, 1844674407370955162}},
	} {
		if got := DefaultShares().Split(c.uhip, c.served); got != c.want {
			t.Errorf("split %d (served %v) = %+v, want %+v", c.uhip, c.served, got, c.want)
		}
	}
}

// TestBooks lets many accounts buy and consume while the price moves: the accounts' sums are what the books call
// outstanding and backing, nothing is released beyond its worth or beyond its part of the account's backing, and what is
// not released is in the buffer.
func TestBooks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Books
		accounts := make([]Balance, 4)
		shares := genShares(t)
		price := rapid.Uint64Range(1, 1e9).Draw(t, "price")
		t.Repeat(map[string]func(*rapid.T){
			"price": func(t *rapid.T) { price = rapid.Uint64Range(1, 1e9).Draw(t, "price") },
			"buy": func(t *rapid.T) {
				uhip := rapid.Uint64Range(0, 1e15).Draw(t, "uhip")
				who := rapid.IntRange(0, 3).Draw(t, "who")
				got, err := Bought(uhip, price)
				if err != nil {
					t.Skip("too much to buy")
				}
				if err := b.Buy(&accounts[who], uhip, got); err != nil {
					t.Skip("books full")
				}
			},
			"consume": func(t *rapid.T) {
				who := &accounts[rapid.IntRange(0, 3).Draw(t, "who")]
				amount := rapid.Uint64Range(0, who.Ucredit).Draw(t, "amount")
				before, books := *who, b
				r, err := b.Consume(who, amount, price, shares, rapid.Bool().Draw(t, "served"))
				if err != nil {
					t.Fatal(err)
				}
				if worth, err := Worth(amount, price); err == nil && r.Uhip > worth {
					t.Fatalf("released %d for %d ucredit worth %d", r.Uhip, amount, worth)
				}
				part := before.Backing - who.Backing
				if r.Uhip > part || b.Buffer-books.Buffer != part-r.Uhip {
					t.Fatalf("released %d of %d, the buffer rose by %d", r.Uhip, part, b.Buffer-books.Buffer)
				}
				// part/backing <= amount/balance
				l := new(big.Int).Mul(new(big.Int).SetUint64(part), new(big.Int).SetUint64(before.Ucredit))
				h := new(big.Int).Mul(new(big.Int).SetUint64(before.Backing), new(big.Int).SetUint64(amount))
				if l.Cmp(h) > 0 {
					t.Fatalf("took %d of backing %d for %d of %d ucredit", part, before.Backing, amount, before.Ucredit)
				}
				if amount > 0 && who.Ucredit == 0 && who.Backing != 0 {
					t.Fatalf("an empty balance has a backing of %d", who.Backing)
				}
			},
			"consume too much": func(t *rapid.T) {
				who := &accounts[rapid.IntRange(0, 3).Draw(t, "who")]
				before, balance := b, *who
				if _, err := b.Consume(who, who.Ucredit+1, price, shares, true); err == nil || b != before || *who != balance {
					t.Fatalf("consumed beyond the balance: err %v", err)
				}
			},
			"fee": func(t *rapid.T) {
				before := b
				uhip := rapid.Uint64Range(0, 1e15).Draw(t, "uhip")
				if r, err := b.PayFee(uhip, shares); err != nil || r.Stakers+r.Treasury != uhip || b.Reserve != before.Reserve || b.Buffer != before.Buffer {
					t.Fatalf("fee of %d: %+v, %v", uhip, r, err)
				}
			},
			"add": func(t *rapid.T) {
				if err := b.Add(rapid.Uint64Range(0, 1e15).Draw(t, "uhip")); err != nil {
					t.Fatal(err)
				}
			},
			"spend": func(t *rapid.T) {
				before, uhip := b, rapid.Uint64Range(0, 1e15).Draw(t, "uhip")
				if err := b.Spend(uhip); (err != nil) != (uhip > before.Buffer) || err != nil && b != before {
					t.Fatalf("spent %d of %d: %v", uhip, before.Buffer, err)
				}
			},
			"": func(t *rapid.T) {
				if err := b.Check(); err != nil {
					t.Fatal(err)
				}
				var ucredit, backing uint64
				for _, a := range accounts {
					ucredit += a.Ucredit
					backing += a.Backing
				}
				if ucredit != b.Outstanding() || backing != b.Backing() {
					t.Fatalf("accounts hold %d backed by %d, books say %d and %d", ucredit, backing, b.Outstanding(), b.Backing())
				}
			},
		})
	})
}

// A tenant who is its own miner and holds all the stake still gets back less
// than the credits it used are worth.
func TestServingOneselfLoses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p1 := rapid.Uint64Range(1000, 1e9).Draw(t, "p1")
		p2 := rapid.Uint64Range(1000, 1e9).Draw(t, "p2")
		var b Books
		var other, self Balance
		others := rapid.Uint64Range(0, 1e15).Draw(t, "others")
		got, err := Bought(others, p2)
		if err != nil || b.Buy(&other, others, got) != nil {
			t.Skip("too much")
		}
		own := rapid.Uint64Range(1e6, 1e15).Draw(t, "own")
		mine, err := Bought(own, p1)
		if err != nil || b.Buy(&self, own, mine) != nil {
			t.Skip("too much")
		}
		r, err := b.Consume(&self, mine, p2, DefaultShares(), true)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Bought(r.Miner+r.Stakers, p2)
		if err != nil {
			t.Fatal(err)
		}
		if limit := mine - mine/10 + 1; back > limit {
			t.Fatalf("used %d ucredit, got back %d", mine, back)
		}
	})
}

func TestBuyRoundsAgainstTheBuyer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Uint64Range(0, 1e15).Draw(t, "ucredit")
		price := rapid.Uint64Range(1, 1e9).Draw(t, "price")
		uhip, err := Cost(want, price)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Bought(uhip, price)
		if err != nil || got < want {
			t.Fatalf("%d uhip buy %d, want at least %d (%v)", uhip, got, want, err)
		}
		if uhip > 0 {
			if less, err := Bought(uhip-1, price); err != nil || less >= want && want > 0 {
				t.Fatalf("%d uhip would do for %d", uhip-1, want)
			}
		}
	})
}

func TestOverflowIsAnError(t *testing.T) {
	if _, err := Bought(math.MaxUint64, 1); !errors.Is(err, ErrOverflow) {
		t.Errorf("Bought: %v", err)
	}
	if _, err := Bought(1, 0); err == nil {
		t.Error("Bought at price 0 worked")
	}
	if _, err := Worth(math.MaxUint64, math.MaxUint64); !errors.Is(err, ErrOverflow) {
		t.Errorf("Worth: %v", err)
	}
	b := Books{Bought: math.MaxUint64}
	var to Balance
	if err := b.Buy(&to, 5, 1); !errors.Is(err, ErrOverflow) || b.Reserve != 0 || to != (Balance{}) {
		t.Errorf("Buy: %v, books %+v", err, b)
	}
	if err := (Shares{6000, 3000, 999}).Validate(); err == nil {
		t.Error("shares that make no whole were accepted")
	}
}

func TestCoverage(t *testing.T) {
	var b Books
	if c, err := b.Coverage(1); err != nil || c != math.MaxUint64 {
		t.Errorf("empty books: %d, %v", c, err)
	}
	if err := b.Buy(&Balance{}, 1_000_000, 1_000_000); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ price, want uint64 }{{1_000_000, Parts}, {2_000_000, Parts / 2}, {500_000, 2 * Parts}, {3_000_000, 3333}} {
		if got, err := b.Coverage(c.price); err != nil || got != c.want {
			t.Errorf("price %d: coverage %d, want %d (%v)", c.price, got, c.want, err)
		}
	}
	if _, err := b.Coverage(0); err == nil {
		t.Error("price 0 accepted")
	}
}

// The books notice what must never be.
func TestCheckNotices(t *testing.T) {
	for _, b := range []Books{
		{Bought: 1, Consumed: 2},
		{Deposited: 10, Reserve: 9},
		{Deposited: 10, Released: 11},
		{Deposited: 10, Released: 4, Reserve: 6, Miners: 2, Stakers: 1},
		{Deposited: 10, Released: 4, Reserve: 6, Miners: math.MaxUint64, Stakers: 5},
		{Deposited: 10, Reserve: 10, Buffer: 11},
		{Deposited: 10, Reserve: 10, Added: 1},
		{Deposited: 10, Reserve: 10, Spent: 1},
		{Deposited: 10, Reserve: 10, Fees: 1},
		{Deposited: math.MaxUint64, Reserve: math.MaxUint64, Added: 1},
	} {
		if b.Check() == nil {
			t.Errorf("%+v passed", b)
		}
	}
}
