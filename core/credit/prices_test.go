package credit

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

const day = DaySeconds

// The lowest and highest price of 7 days are those of a history that forgets nothing, and what is kept is bounded.
func TestPricesOfSevenDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Prices{{UhipPerCredit: rapid.Uint64Range(1, 1e15).Draw(t, "price")}}
		all, now := p, int64(1_800_000_000)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += rapid.Int64Range(1, 2*day).Draw(t, "seconds")
			old := p.Current()
			to := rapid.Uint64Range(max(old-old/5, 1), old+old/5).Draw(t, "to")
			next, err := p.Change(now, to)
			switch {
			case err == nil && to != old:
				all = append(all, Price{now, to})
				p = next
			case err != nil && now-p[len(p)-1].Since >= day:
				t.Fatal(err)
			}
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			lowest, highest := uint64(math.MaxUint64), uint64(0)
			for i, x := range all {
				if i+1 == len(all) || all[i+1].Since > now-7*day {
					lowest, highest = min(lowest, x.UhipPerCredit), max(highest, x.UhipPerCredit)
				}
			}
			if l, h := p.Range(now); l != lowest || h != highest || l > p.Current() || h < p.Current() {
				t.Fatalf("prices of %d to %d, want %d to %d", l, h, lowest, highest)
			}
		}
	})
}

func TestPriceChange(t *testing.T) {
	const now = 1_800_000_000
	for _, c := range []struct {
		old, to uint64
		after   int64
		ok      bool
	}{
		{1_000_000, 1_200_000, day, true},
		{1_000_000, 1_200_001, day, false},
		{1_000_000, 800_000, day, true},
		{1_000_000, 799_999, day, false},
		{1_000_000, 1_000_001, day - 1, false},
		{1_000_000, 1_000_000, 0, true}, // no change
		{1, 2, day, true},               // a fifth, rounded up
		{1, 3, day, false},
		{1, 0, day, false},
		{5, 4, day, true},
		{5, 3, day, false},
		{6, 4, day, true},
		{math.MaxUint64, math.MaxUint64 - 1, day, false}, // what could come next does not fit
	} {
		_, err := Prices{{Since: now, UhipPerCredit: c.old}}.Change(now+c.after, c.to)
		if (err == nil) != c.ok {
			t.Errorf("%d to %d after %d s: %v", c.old, c.to, c.after, err)
		}
		if err != nil && !errors.Is(err, ErrPriceChange) && !errors.Is(err, ErrOverflow) {
			t.Errorf("%d to %d: %v", c.old, c.to, err)
		}
	}
	// The first price of a network may change on its first day.
	if _, err := (Prices{{UhipPerCredit: 10}}).Change(now, 11); err != nil {
		t.Error(err)
	}
}

func TestPricesValidate(t *testing.T) {
	nine := make(Prices, 0, MaxPrices+1)
	for i := range int64(MaxPrices + 1) {
		nine = append(nine, Price{Since: i * day, UhipPerCredit: 1})
	}
	if err := nine[:MaxPrices].Validate(); err != nil {
		t.Error(err)
	}
	for _, p := range []Prices{nil, nine, {{}}, {{Since: -1, UhipPerCredit: 1}}, {{Since: 10, UhipPerCredit: 1}, {Since: 11, UhipPerCredit: 1}}} {
		if p.Validate() == nil {
			t.Errorf("%+v passed", p)
		}
	}
}

func TestFees(t *testing.T) {
	f := Fees{Base: 100, PerMillionGas: 24_000, PerKiB: 1000}
	for _, c := range []struct{ gas, bytes, want uint64 }{
		{0, 0, 100},
		{1, 1, 100 + 1 + 1},
		{100_000, 512, 100 + 2400 + 500},
		{50_000_000, 128 << 10, 100 + 1_200_000 + 128_000},
	} {
		if got, err := f.Of(c.gas, c.bytes); err != nil || got != c.want {
			t.Errorf("%d gas, %d bytes: %d, want %d (%v)", c.gas, c.bytes, got, c.want, err)
		}
	}
	for _, c := range []struct{ gas, bytes uint64 }{{math.MaxUint64, 0}, {0, math.MaxUint64}} {
		if _, err := (Fees{1, math.MaxUint64, math.MaxUint64}).Of(c.gas, c.bytes); !errors.Is(err, ErrOverflow) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
