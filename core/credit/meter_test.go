package credit

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

const t0 = 1_800_000_000

// line is one VM of an account under test: its miner, and what it was attested.
type line struct {
	miner string
	usage Usage
	until int64
}

// ledger is an account under test, collected as x/compute does it.
type ledger struct {
	meter   Meter
	lines   []*line
	balance uint64
	by      map[string]uint64
	dropped uint64
}

func newLedger(balance uint64, vms int) *ledger {
	l := &ledger{balance: balance, by: map[string]uint64{}}
	for i := range vms {
		l.lines = append(l.lines, &line{miner: []string{"hip1a", "hip1b", "hip1c"}[i%3], until: t0})
	}
	return l
}

func (l *ledger) owed() uint64 {
	sum := l.meter.Carry
	for _, v := range l.lines {
		sum += v.usage.Owed()
	}
	return sum
}

// settle what is before now-lag, and return what was taken.
func (l *ledger) settle(now, lag int64) uint64 {
	payable := l.meter.Payable(l.balance)
	var parts []Part
	for _, v := range l.lines {
		taken, dropped, left := v.usage.Settle(now-lag, payable)
		payable -= taken + left
		l.dropped += dropped
		parts = append(parts, Part{v.miner, taken})
	}
	charges, total := l.meter.Settle(parts)
	for _, c := range charges {
		l.by[c.Miner] += c.Ucredit
	}
	l.balance -= total
	l.meter.Observe(now, l.owed()-l.meter.Carry)
	return total
}

// TestSettledOnceOrEverySecond runs two accounts side by side over the same
// attested service, one settled at the end and one at every step.
func TestSettledOnceOrEverySecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lag := rapid.Int64Range(0, 90).Draw(t, "lag")
		once, often := newLedger(1e15, 5), newLedger(1e15, 5)
		var settlements uint64
		now := int64(t0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			step := rapid.Int64Range(1, 60).Draw(t, "seconds")
			now += step
			for i := range once.lines {
				rate := rapid.Uint64Range(0, 300_000).Draw(t, "rate")
				for _, l := range []*ledger{once, often} {
					if err := l.lines[i].usage.Add(Interval{From: now - step, To: now, Rate: rate}); err != nil {
						t.Fatal(err)
					}
				}
			}
			often.settle(now, lag)
			settlements++
		}
		now += lag
		once.settle(now, lag)
		often.settle(now, lag)
		if once.meter.Consumed != often.meter.Consumed || once.meter.Carry != often.meter.Carry || once.owed() != often.owed() || once.dropped+often.dropped != 0 {
			t.Fatalf("once %+v, often %+v", once.meter, often.meter)
		}
		for m, n := range once.by {
			if diff := max(n, often.by[m]) - min(n, often.by[m]); diff > 2*(settlements+1) { // two VMs a miner
				t.Fatalf("%s: %d settled once, %d settled %d times", m, n, often.by[m], settlements)
			}
		}
	})
}

// Whatever is bought, spent, attested and settled when: what was attested is charged, owed or dropped, to the unit, and
// never more is taken than there is.
func TestMeterLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLedger(0, 3)
		lag := rapid.SampledFrom([]int64{0, 30, 90}).Draw(t, "lag")
		now := int64(t0)
		var paidIn, charged, attested, fees uint64
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) { now += rapid.Int64Range(1, 200).Draw(t, "s") },
			"buy": func(t *rapid.T) {
				charged += l.settle(now, lag)
				v := rapid.Uint64Range(0, 5000).Draw(t, "v")
				l.balance += v
				paidIn += v
			},
			"fee": func(t *rapid.T) {
				v := rapid.Uint64Range(0, l.balance).Draw(t, "v")
				l.balance -= v
				fees += v
			},
			"attest": func(t *rapid.T) {
				v := rapid.SampledFrom(l.lines).Draw(t, "vm")
				rate := rapid.Uint64Range(0, 900_000).Draw(t, "rate")
				from := max(v.until, now-rapid.Int64Range(0, 80).Draw(t, "gap"))
				if from >= now {
					return
				}
				if err := v.usage.Add(Interval{From: from, To: now, Rate: rate}); err != nil {
					t.Fatal(err)
				}
				attested += rate * uint64(now-from)
				v.until = now
			},
			"settle": func(*rapid.T) { charged += l.settle(now, lag) },
			"": func(t *rapid.T) {
				if l.meter.Consumed != charged || paidIn != l.balance+charged+fees {
					t.Fatalf("consumed %d, charged %d, paid in %d, left %d", l.meter.Consumed, charged, paidIn, l.balance)
				}
				if attested != charged*UnitsPerUcredit+l.owed()+l.dropped {
					t.Fatalf("attested %d units; charged %d, dropped %d units, owed %d", attested, charged, l.dropped, l.owed())
				}
				if err := l.meter.Check(); err != nil {
					t.Fatal(err)
				}
				for _, v := range l.lines {
					if err := v.usage.Check(); err != nil {
						t.Fatal(err)
					}
				}
			},
		})
	})
}

func TestNoDebts(t *testing.T) {
	l := newLedger(10, 1)
	u := &l.lines[0].usage
	add := func(from, to int64) {
		t.Helper()
		if err := u.Add(Interval{From: from, To: to, Rate: 3600}); err != nil { // one ucredit a second
			t.Fatal(err)
		}
	}
	add(t0, t0+60)
	if got := l.settle(t0+60, 0); got != 10 || l.dropped != 50*3600 {
		t.Fatalf("a balance of 10 paid %d, %d units were dropped", got, l.dropped)
	}
	// What was attested at a balance of 0 is not owed after the next purchase.
	add(t0+60, t0+120)
	l.settle(t0+120, 90)
	l.balance = 1000
	if got := l.settle(t0+300, 0); got != 0 {
		t.Fatalf("old time charged after a purchase: %d", got)
	}
	// A fee that eats what was owed is forgiven.
	add(t0+300, t0+330)
	l.balance = 20
	if got := l.settle(t0+330, 0); got != 20 || l.balance != 0 {
		t.Fatalf("took %d", got)
	}
}

func TestLagKeepsBack(t *testing.T) {
	l := newLedger(1e6, 1)
	for i := range int64(4) { // 30 s each, lag 90
		from := t0 + 30*i
		if err := l.lines[0].usage.Add(Interval{From: from, To: from + 30, Rate: 3600}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.lines[0].usage.Pending); n != 1 {
		t.Fatalf("%d intervals, though each continues the one before", n)
	}
	for _, c := range []struct {
		at   int64
		want uint64
	}{{t0 + 90, 0}, {t0 + 119, 29}, {t0 + 120, 1}} {
		if got := l.settle(c.at, 90); got != c.want {
			t.Fatalf("at %d: settled %d, want %d", c.at-t0, got, c.want)
		}
	}
	if got := l.owed(); got != 90*3600 {
		t.Fatalf("owed %d", got)
	}
}

// A VM's usage stays small however long it is not settled and whatever breaks it up, and loses nothing.
func TestUsageIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var u Usage
		now, want := int64(t0), uint64(0)
		for range rapid.IntRange(1, 200).Draw(t, "intervals") {
			from := now + rapid.Int64Range(0, 2).Draw(t, "gap")
			now = from + rapid.Int64Range(1, 5000).Draw(t, "seconds")
			rate := rapid.Uint64Range(0, 3).Draw(t, "rate")
			if err := u.Add(Interval{From: from, To: now, Rate: rate}); err != nil {
				t.Fatal(err)
			}
			want += rate * uint64(now-from)
			if err := u.Check(); err != nil {
				t.Fatal(err)
			}
			if u.Owed() != want {
				t.Fatalf("owed %d, want %d", u.Owed(), want)
			}
		}
	})
}

func TestUsageRefuses(t *testing.T) {
	for name, iv := range map[string]Interval{
		"epoch":   {From: 0, To: 1, Rate: 1},
		"overlap": {From: t0 + 5, To: t0 + 20, Rate: 1},
		"rate":    {From: t0 + 10, To: t0 + 20, Rate: MaxRate + 1},
	} {
		u := Usage{Pending: []Interval{{From: t0, To: t0 + 10, Rate: 7}}}
		if err := u.Add(iv); err == nil || len(u.Pending) != 1 || u.Owed() != 70 {
			t.Errorf("%s: %v, usage %+v", name, err, u)
		}
	}
	u := Usage{Units: MaxUnits - 1, Pending: []Interval{{From: t0, To: t0 + 10, Rate: MaxRate}}}
	if u.Fold(math.MaxInt64); u.Units != MaxUnits || u.Owed() != MaxUnits {
		t.Errorf("%d units", u.Units)
	}
}

func TestShiftRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Meter
		var rate int64
		var owed uint64
		now := int64(t0)
		m.OwedAt = now
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				s := rapid.Int64Range(0, 1000).Draw(t, "s")
				now += s
				owed += uint64(rate) * uint64(s)
			},
			"shift": func(t *rapid.T) {
				delta := rapid.OneOf(rapid.Int64Range(-1000, 1000), rapid.Int64()).Draw(t, "delta")
				fits := delta <= MaxRate && delta >= -MaxRate && rate+delta >= 0 && rate+delta <= MaxRate
				if err := m.ShiftRate(now, delta); (err == nil) != fits {
					t.Fatalf("%+d on %d: %v", delta, rate, err)
				}
				if fits {
					rate += delta
				}
			},
			"": func(t *rapid.T) {
				if m.Rate != uint64(rate) {
					t.Fatalf("rate %d, want %d", m.Rate, rate)
				}
				c := m
				if c.advance(now); c.Owed != min(owed, MaxUnits) {
					t.Fatalf("owed %d, want %d", c.Owed, owed)
				}
			},
		})
	})
}

// Run-out comes exactly at the second the runway says, when all is attested.
func TestRunwayIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Meter
		rate := rapid.Int64Range(1, 1_000_000).Draw(t, "rate")
		balance := rapid.Uint64Range(0, 2000).Draw(t, "balance")
		holdback := rapid.Uint64Range(0, 2000).Draw(t, "holdback")
		m.Carry = rapid.Uint64Range(0, 3599).Draw(t, "carry")
		if err := m.ShiftRate(t0, rate); err != nil {
			t.Fatal(err)
		}
		secs, ok := m.Runway(balance, holdback)
		if !ok || (secs == 0) != m.RanOut(balance, holdback) {
			t.Fatalf("runway %d, %v", secs, ok)
		}
		if secs == 0 {
			return
		}
		after := func(s uint64) bool {
			c := m
			c.Owed += s * uint64(rate)
			return c.RanOut(balance, holdback)
		}
		if !after(secs) || after(secs-1) {
			t.Fatalf("runway %d s: ran out then %v, a second before %v", secs, after(secs), after(secs-1))
		}
	})
}

func TestDue(t *testing.T) {
	s := Schedule{Interval: 3600, Phase: 100}
	var m Meter
	if got := m.Due(t0, s, 100, 0); got != 0 {
		t.Errorf("an idle meter is due at %d", got)
	}
	if err := m.ShiftRate(t0, 3600); err != nil { // one ucredit a second
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.Int64Range(t0, t0+100_000).Draw(t, "now")
		due := m.Due(now, s, math.MaxUint64/2, 0)
		if due <= now || due > now+3600 || due%3600 != 100 {
			t.Fatalf("at %d due %d", now, due)
		}
	})
	if got := m.Due(t0, s, 500, 200); got != t0+100+0 && got != t0+300 {
		t.Errorf("run-out in 300 s, due in %d", got-t0)
	}
	if got := m.Due(t0, Schedule{Interval: 1e6}, DaySeconds+700, 0); got != t0+700 {
		t.Errorf("warning due in 700 s, due in %d", got-t0)
	}
	m.WarnedAt = t0
	if got := m.Due(t0, Schedule{Interval: 1e7}, 5000, 0); got != t0+5000 {
		t.Errorf("run-out in 5000 s, due in %d", got-t0)
	}
	if got := m.Due(t0, Schedule{Interval: 1e7}, 1, 1); got != t0+recheckSeconds {
		t.Errorf("already out, due in %d", got-t0)
	}
	if !(&Meter{Rate: m.Rate}).ShouldWarn(DaySeconds, 0) || m.ShouldWarn(DaySeconds, 0) || (&Meter{Rate: m.Rate}).ShouldWarn(DaySeconds+1, 0) {
		t.Error("warning rule")
	}
}

func TestHoldback(t *testing.T) {
	// Spark: 900 ucredit an hour of disk, seven days.
	if got := Holdback(900, 7*DaySeconds); got != 900*168 {
		t.Errorf("got %d", got)
	}
	if got := Holdback(1, 1); got != 1 {
		t.Errorf("not rounded up: %d", got)
	}
	if got := Holdback(math.MaxUint64, math.MaxUint64); got != math.MaxUint64 {
		t.Errorf("overflow: %d", got)
	}
}

func TestPhaseSpreads(t *testing.T) {
	seen := map[int64]int{}
	for i := range 1000 {
		p := Phase(string(rune('a'+i%26))+string(rune('a'+i/26)), 3600)
		if p < 0 || p >= 3600 {
			t.Fatalf("phase %d", p)
		}
		seen[p/360]++
	}
	for bucket := range int64(10) {
		if seen[bucket] < 50 {
			t.Errorf("tenth %d of the interval has %d of 1000 accounts", bucket, seen[bucket])
		}
	}
}
