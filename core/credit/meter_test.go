package credit

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const t0 = 1_800_000_000

var miners = []string{"hip1a", "hip1b", "hip1c"}

// TestSettledOnceOrEverySecond runs two meters side by side over the same
// attested service, one settled at the end and one at every step.
func TestSettledOnceOrEverySecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lag := rapid.Int64Range(0, 90).Draw(t, "lag")
		var once, often Meter
		onceBy, oftenBy := map[string]uint64{}, map[string]uint64{}
		balance := uint64(1e15)
		var settlements uint64
		now := int64(t0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			step := rapid.Int64Range(1, 60).Draw(t, "seconds")
			now += step
			for _, m := range miners {
				rate := rapid.Uint64Range(0, 300_000).Draw(t, "rate")
				iv := Interval{Miner: m, Rate: rate, From: now - step, To: now}
				for _, meter := range []*Meter{&once, &often} {
					if _, d, err := meter.Accrue(iv, now, lag, balance); err != nil || d != 0 {
						t.Fatal(d, err)
					}
				}
			}
			take(oftenBy, often.Settle(now, lag, balance))
			settlements++
		}
		now += lag
		take(onceBy, once.Settle(now, lag, balance))
		take(oftenBy, often.Settle(now, lag, balance))
		if once.Consumed != often.Consumed || once.Carry != often.Carry || once.OwedUnits() != often.OwedUnits() {
			t.Fatalf("once %d carry %d, often %d carry %d", once.Consumed, once.Carry, often.Consumed, often.Carry)
		}
		for _, m := range miners {
			if diff := max(onceBy[m], oftenBy[m]) - min(onceBy[m], oftenBy[m]); diff > settlements+1 {
				t.Fatalf("%s: %d settled once, %d settled %d times", m, onceBy[m], oftenBy[m], settlements)
			}
		}
	})
}

func take(by map[string]uint64, s Settlement) {
	for _, c := range s.Charges {
		by[c.Miner] += c.Ucredit
	}
}

// TestMeterLife drives a meter and its balance through anything: consumed is
// exactly what was attested and not dropped, never more than was paid in, and
// never before it is older than the lag.
func TestMeterLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Meter
		lag := rapid.SampledFrom([]int64{0, 30, 90}).Draw(t, "lag")
		now := int64(t0)
		var balance, paidIn, charged, attested, droppedUnits, droppedUcredit, fees uint64
		var lastAttested int64
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) { now += rapid.Int64Range(1, 200).Draw(t, "s") },
			"buy": func(t *rapid.T) {
				v := rapid.Uint64Range(0, 5000).Draw(t, "v")
				balance += v
				paidIn += v
			},
			"fee": func(t *rapid.T) {
				v := rapid.Uint64Range(0, balance).Draw(t, "v")
				balance -= v
				fees += v
			},
			"accrue": func(t *rapid.T) {
				rate := rapid.Uint64Range(0, 900_000).Draw(t, "rate")
				secs := rapid.Int64Range(0, 60).Draw(t, "secs")
				to := now - rapid.Int64Range(0, 20).Draw(t, "ago")
				taken, d, err := m.Accrue(Interval{rapid.SampledFrom(miners).Draw(t, "miner"), rate, to - secs, to}, now, lag, balance)
				if err != nil {
					t.Fatal(err)
				}
				if taken+d != rate*uint64(secs) {
					t.Fatalf("of %d units %d were taken and %d dropped", rate*uint64(secs), taken, d)
				}
				attested += rate * uint64(secs)
				droppedUnits += d
				if d == 0 {
					lastAttested = max(lastAttested, to)
				}
			},
			"settle": func(t *rapid.T) {
				var ripe uint64
				for _, s := range m.Segments {
					if s.Until <= now-lag {
						ripe += s.Units
					}
				}
				for _, a := range m.Accruals {
					ripe += a.Units
				}
				ripe += m.Carry
				s := m.Settle(now, lag, balance)
				if s.Total+s.Dropped != ripe/UnitsPerUcredit {
					t.Fatalf("%d units gave %+v", ripe, s)
				}
				if s.Total > balance {
					t.Fatalf("took %d of %d", s.Total, balance)
				}
				balance -= s.Total
				charged += s.Total
				droppedUcredit += s.Dropped
			},
			"": func(t *rapid.T) {
				if m.Consumed != charged || paidIn != balance+charged+fees {
					t.Fatalf("consumed %d, charged %d, paid in %d, left %d", m.Consumed, charged, paidIn, balance)
				}
				if attested-droppedUnits != (charged+droppedUcredit)*UnitsPerUcredit+m.OwedUnits() {
					t.Fatalf("attested %d − dropped %d units; charged %d + forgiven %d, owed %d units", attested, droppedUnits, charged, droppedUcredit, m.OwedUnits())
				}
				if m.Carry >= UnitsPerUcredit {
					t.Fatalf("carry %d", m.Carry)
				}
				if !slices.IsSortedFunc(m.Segments, compareSegments) {
					t.Fatalf("segments out of order: %v", m.Segments)
				}
			},
		})
	})
}

func TestNoDebts(t *testing.T) {
	var m Meter
	// 3600 ucredit an hour is one a second; the balance pays for 10 of 60 seconds.
	taken, dropped, err := m.Accrue(Interval{"hip1a", 3600, t0, t0 + 60}, t0+60, 0, 10)
	if err != nil || taken != 10*3600 || dropped != 50*3600 {
		t.Fatalf("took %d and dropped %d units, %v", taken, dropped, err)
	}
	if got := m.Settle(t0+60, 0, 10); got.Total != 10 || got.Dropped != 0 {
		t.Fatalf("%+v", got)
	}
	// At a balance of 0 nothing accrues, so nothing is owed after the next purchase.
	if _, _, err := m.Accrue(Interval{"hip1a", 3600, t0 + 60, t0 + 120}, t0+120, 0, 0); err != nil {
		t.Fatal(err)
	}
	if got := m.Settle(t0+120, 0, 1000); got.Total != 0 {
		t.Fatalf("old time charged after a purchase: %+v", got)
	}
	// A fee that eats what was owed is forgiven.
	if _, _, err := m.Accrue(Interval{"hip1a", 3600, t0 + 120, t0 + 150}, t0+150, 0, 1000); err != nil {
		t.Fatal(err)
	}
	if got := m.Settle(t0+150, 0, 20); got.Total != 20 || got.Dropped != 10 {
		t.Fatalf("%+v", got)
	}
}

func TestLagKeepsBack(t *testing.T) {
	var m Meter
	for i := range int64(4) { // 30 s each, lag 90
		from := t0 + 30*i
		if _, _, err := m.Accrue(Interval{"hip1a", 3600, from, from + 30}, from+30, 90, 1e6); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.Settle(t0+119, 90, 1e6); got.Total != 0 {
		t.Fatalf("settled before the lag: %+v", got)
	}
	if got := m.Settle(t0+120, 90, 1e6); got.Total != 30 {
		t.Fatalf("at the lag: %+v", got)
	}
	if got := m.Owed(); got != 90 {
		t.Fatalf("owed %d", got)
	}
}

func TestAccrueRefuses(t *testing.T) {
	for name, iv := range map[string]Interval{
		"no miner": {"", 1, t0, t0 + 1},
		"future":   {"a", 1, t0, t0 + 101},
		"backward": {"a", 1, t0 + 2, t0 + 1},
		"epoch":    {"a", 1, 0, 1},
		"long":     {"a", 1, t0 - 4000, t0},
		"rate":     {"a", MaxRate + 1, t0, t0 + 1},
	} {
		var m Meter
		if _, _, err := m.Accrue(iv, t0+100, 0, 1e9); err == nil || !reflect.DeepEqual(m, Meter{}) {
			t.Errorf("%s: %v, meter %+v", name, err, m)
		}
	}
}

func TestSetRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Meter
		model := map[string]int64{}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				who := rapid.SampledFrom(miners).Draw(t, "miner")
				delta := rapid.OneOf(rapid.Int64Range(-1000, 1000), rapid.Int64()).Draw(t, "delta")
				err := m.SetRate(who, delta)
				next := model[who] + delta
				fits := delta <= MaxRate && delta >= -MaxRate && next >= 0
				var sum int64
				for k, v := range model {
					if k != who {
						sum += v
					}
				}
				fits = fits && sum+next <= MaxRate
				if (err == nil) != fits {
					t.Fatalf("%s %+d on %d: %v", who, delta, model[who], err)
				}
				if fits {
					model[who] = next
				}
			},
			"": func(t *rapid.T) {
				var want []Rate
				for _, k := range slices.Sorted(maps.Keys(model)) {
					if model[k] > 0 {
						want = append(want, Rate{k, uint64(model[k])})
					}
				}
				if !slices.Equal(want, m.Rates) {
					t.Fatalf("rates %v, want %v", m.Rates, want)
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
		if err := m.SetRate("hip1a", rate); err != nil {
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
			c.Carry += s * uint64(rate)
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
	if err := m.SetRate("hip1a", 3600); err != nil { // one ucredit a second
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
	if !(&Meter{Rates: m.Rates}).ShouldWarn(DaySeconds, 0) || m.ShouldWarn(DaySeconds, 0) || (&Meter{Rates: m.Rates}).ShouldWarn(DaySeconds+1, 0) {
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
