package vm

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

var rules = AttestRules{Gap: 80, SilenceSeconds: 600, SilenceReports: 20}

// A proof covers the gap before it, whatever the time since the last, but nothing twice and nothing before the run.
func TestProofCoversTheGapBeforeIt(t *testing.T) {
	a := Attestation{}
	a.Begin(1000)
	for _, c := range []struct {
		at   int64
		want uint64
	}{{1010, 0}, {1040, 30}, {1041, 31}, {1041, 31}, {1030, 31}, {1121, 111}, {1202, 191}, {2000, 271}} {
		if err := a.Prove(rules, c.at, 1); err != nil || a.RunningSeconds != c.want || a.Usage.Owed() != c.want {
			t.Fatalf("proven at %d: %d s, %d units, want %d; %v", c.at, a.RunningSeconds, a.Usage.Owed(), c.want, err)
		}
	}
	// Another run of a VM that was proven is charged from its host's first report on.
	if err := a.End(rules, 2010, 1); err != nil || a.RunningSeconds != 281 {
		t.Fatalf("ended after %d s, %v", a.RunningSeconds, err)
	}
	a.Begin(2020)
	if err := a.Prove(rules, 2050, 1); err != nil || a.RunningSeconds != 311 {
		t.Fatalf("proven again after %d s, %v", a.RunningSeconds, err)
	}
	// It ends too long after the last proof: not a second of that.
	if err := a.End(rules, 2131, 1); err != nil || a.RunningSeconds != 311 {
		t.Fatalf("ended after %d s, %v", a.RunningSeconds, err)
	}
}

// A start is charged from the allowance on, or from the report that it runs if that is earlier, with its proof or its end; and not
// beyond what was seen.
func TestBootAllowance(t *testing.T) {
	boots := func(a *Attestation, from, to int64) {
		for at := from; at <= to; at += 30 {
			a.Boot(at)
			a.Saw(rules, at)
		}
	}
	for name, c := range map[string]struct {
		then func(a *Attestation) error
		want uint64
	}{
		"within the allowance": {func(a *Attestation) error { boots(a, 1000, 1090); a.Begin(1100); return a.Prove(rules, 1110, 1) }, 10},
		"beyond it":            {func(a *Attestation) error { boots(a, 1000, 1300); a.Begin(1310); return a.Prove(rules, 1310, 1) }, 190},
		"ended":                {func(a *Attestation) error { boots(a, 1000, 1300); return a.End(rules, 1310, 1) }, 190},
		"ended early":          {func(a *Attestation) error { boots(a, 1000, 1090); return a.End(rules, 1100, 1) }, 0},
		"not seen":             {func(a *Attestation) error { boots(a, 1000, 1000); return a.End(rules, 1150, 1) }, 0},
		"failed by the host": {func(a *Attestation) error {
			boots(a, 1000, 1300)
			return errors.Join(a.Disown(rules, 1), a.End(rules, 1310, 1))
		}, 0},
		"silent": {func(a *Attestation) error {
			boots(a, 1000, 1600)
			if !a.Silent(rules) {
				return errors.New("not silent")
			}
			return a.ChargeSilence(rules, 1)
		}, 480},
	} {
		a := Attestation{Proven: true}
		if err := c.then(&a); err != nil || a.RunningSeconds != c.want {
			t.Errorf("%s: %d s, want %d; %v", name, a.RunningSeconds, c.want, err)
		}
	}
}

// A proof that is older than the host's report attests all of the gap before it.
func TestProofOlderThanAReport(t *testing.T) {
	a := Attestation{Proven: true}
	a.Begin(1000)
	a.Saw(rules, 1416)
	if err := a.Prove(rules, 1413, 1); err != nil || a.RunningSeconds != 80 || a.LastAt != 1413 {
		t.Fatalf("%d s up to %d, %v", a.RunningSeconds, a.LastAt, err)
	}
}

// What the host reported between two proofs is charged with the second, or with the end.
func TestHostsWordBetweenProofs(t *testing.T) {
	for name, end := range map[string]func(a *Attestation) error{
		"proof": func(a *Attestation) error { return a.Prove(rules, 1500, 1) },
		"end":   func(a *Attestation) error { return a.End(rules, 1500, 1) },
		"died":  func(a *Attestation) error { return a.End(rules, 0, 1) },
	} {
		a := Attestation{Proven: true}
		a.Begin(1000)
		for at := int64(1030); at <= 1500; at += 30 {
			a.Saw(rules, at)
		}
		if a.Silent(rules) || a.RunningSeconds != 0 {
			t.Fatalf("%s: silent %v, %d s", name, a.Silent(rules), a.RunningSeconds)
		}
		want := map[string]uint64{"proof": 500, "end": 500, "died": 480}[name]
		if err := end(&a); err != nil || a.RunningSeconds != want {
			t.Errorf("%s: %d s, want %d; %v", name, a.RunningSeconds, want, err)
		}
	}
}

func TestSilence(t *testing.T) {
	// report has the host say every so many seconds that the VM runs, and returns when it is silent, or 0.
	report := func(a *Attestation, from, to, every int64) int64 {
		for at := from; at <= to; at += every {
			if a.Saw(rules, at); a.Silent(rules) {
				return at
			}
		}
		return 0
	}
	begun := func() *Attestation {
		a := &Attestation{Proven: true}
		a.Begin(1000)
		return a
	}
	if at := report(begun(), 1030, 3000, 30); at != 1630 {
		t.Errorf("reports every 30 s: silent at %d", at)
	}
	if at := report(begun(), 1005, 3000, 5); at != 1605 {
		t.Errorf("reports every 5 s: silent at %d", at)
	}
	if at := report(begun(), 1060, 3000, 60); at != 1060+19*60 {
		t.Errorf("reports every minute: silent at %d", at)
	}
	// A host that was away, or a chain that stood still, begins anew.
	if at := report(begun(), 1081, 9000, 81); at != 0 {
		t.Errorf("reports every 81 s: silent at %d", at)
	}
	a := begun()
	if at := report(a, 1030, 1600, 30); at != 0 {
		t.Fatalf("silent at %d", at)
	}
	if at := report(a, 1700, 3000, 30); at != 1700+600 {
		t.Errorf("after a halt: silent at %d", at)
	}
	// What was silent is charged once, and counted anew.
	if err := a.ChargeSilence(rules, 1); err != nil || a.RunningSeconds != 680 || a.Silent(rules) {
		t.Errorf("%d s charged, silent still: %v; %v", a.RunningSeconds, a.Silent(rules), err)
	}
	if at := report(a, 2330, 4000, 30); at != 2900 {
		t.Errorf("silent again at %d", at)
	}
	if err := a.ChargeSilence(rules, 1); err != nil || a.RunningSeconds != 680+600 {
		t.Errorf("%d s charged, %v", a.RunningSeconds, err)
	}
	// One that was never proven is not silent: nothing is charged for it, and it has a deadline.
	never := &Attestation{}
	never.Begin(1000)
	if at := report(never, 1030, 9000, 30); at != 0 || never.Silence != (Silence{}) {
		t.Errorf("never proven, silent at %d: %+v", at, never)
	}
}

// A guest that ran before and gave no proof is charged on its host's word when the run ends; for less if it gives one late.
func TestUnproven(t *testing.T) {
	seen := func(a *Attestation, from, to int64) {
		for at := from; at <= to; at += 30 {
			a.Saw(rules, at)
		}
	}
	for name, c := range map[string]struct {
		unproven bool
		then     func(a *Attestation) error
		want     uint64
	}{
		"the first time":      {false, func(a *Attestation) error { return a.End(rules, 1600, 1) }, 0},
		"the second":          {true, func(a *Attestation) error { return a.End(rules, 1600, 1) }, 600},
		"proven":              {true, func(a *Attestation) error { return a.Prove(rules, 1600, 1) }, 480},
		"failed by the host":  {true, func(a *Attestation) error { return errors.Join(a.Disown(rules, 1), a.End(rules, 1600, 1)) }, 480},
		"after a gap":         {true, func(a *Attestation) error { seen(a, 1700, 1790); return a.End(rules, 1790, 1) }, 90},
		"proven, and goes on": {true, func(a *Attestation) error { return errors.Join(a.Prove(rules, 1600, 1), a.Prove(rules, 1660, 1)) }, 540},
	} {
		a := Attestation{Unproven: c.unproven}
		a.Begin(1000)
		seen(&a, 1000, 1600)
		if a.RunningSeconds != 0 {
			t.Errorf("%s: %d s are charged while it runs", name, a.RunningSeconds)
		}
		if err := c.then(&a); err != nil || a.RunningSeconds != c.want {
			t.Errorf("%s: %d s, want %d; %v", name, a.RunningSeconds, c.want, err)
		}
		if a.Unproven && a.Proven {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// Nothing is charged for a disk before the first proof.
func TestDisk(t *testing.T) {
	for _, proven := range []bool{false, true} {
		a := Attestation{Proven: proven}
		for _, at := range []int64{1000, 1060, 1200, 1210} {
			if err := a.Keep(rules, at, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.End(rules, 1220, 1); err != nil {
			t.Fatal(err)
		}
		want := uint64(0)
		if proven {
			want = 60 + 80 + 10 + 10
		}
		if a.StoppedSeconds != want || a.RunningSeconds != 0 || a.Usage.Owed() != want {
			t.Errorf("proven %v: %+v", proven, a)
		}
	}
}

// However proofs, reports and ends follow each other: no second is charged twice, none in which neither guest nor host
// was seen within the gap after it, and none before the first proof.
func TestAttestedIsSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a Attestation
		const t0 = 10_000
		now, proven := int64(t0), false
		charge := map[int64]bool{} // seconds of the time line that may be charged
		cover := func(from, to int64) {
			for s := from; s < to; s++ {
				charge[s] = true
			}
		}
		on, boots := false, false
		begin := int64(0)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now += rapid.Int64Range(0, 200).Draw(t, "seconds")
			before := a.RunningSeconds
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				switch {
				case !on && rapid.Bool().Draw(t, "boots"):
					a.Boot(now)
					a.Saw(rules, now)
					on, boots, begin = true, true, now
				case !on, boots:
					a.Begin(now)
					if !on {
						begin = now
					}
					on, boots = true, false
				}
			case 1:
				if on {
					at := now - rapid.Int64Range(0, 80).Draw(t, "age")
					if err := a.Prove(rules, at, 1); err != nil {
						t.Fatal(err)
					}
					if !proven && before != a.RunningSeconds {
						t.Fatal("charged with the first proof")
					}
					if !proven {
						begin = at
					}
					proven = true
					cover(max(begin, at-80), at)
				}
			case 2, 3:
				if on {
					a.Saw(rules, now)
					cover(max(begin, now-80), now)
					if a.Silent(rules) {
						if err := a.ChargeSilence(rules, 1); err != nil {
							t.Fatal(err)
						}
					}
				}
			case 4:
				if on {
					if err := a.End(rules, now, 1); err != nil {
						t.Fatal(err)
					}
					cover(max(begin, now-80), now)
					on = false
				}
			}
			if a.RunningSeconds != a.Usage.Owed() {
				t.Fatalf("%d s, %d units", a.RunningSeconds, a.Usage.Owed())
			}
			if int64(a.RunningSeconds) > int64(len(charge)) {
				t.Fatalf("%d s charged; %d were seen", a.RunningSeconds, len(charge))
			}
		}
		if !proven && a.RunningSeconds > 0 {
			t.Fatal("charged without a proof")
		}
	})
}

// A run is whole for as long as nothing is missing from what is attested of it: a gap between proofs that no report of the host fills
// begins it anew.
func TestRunIsWholeUntilAGap(t *testing.T) {
	a := Attestation{}
	prove := func(at, want int64) {
		t.Helper()
		if err := a.Prove(rules, at, 1); err != nil || a.WholeSince != want {
			t.Errorf("proven at %d: whole since %d, want %d; %v", at, a.WholeSince, want, err)
		}
	}
	prove(1000, 0)
	prove(1080, 0)
	prove(1161, 1081) // a second is missing
	prove(1200, 1081)
	a.Saw(rules, 1270)
	a.Saw(rules, 1340)
	prove(1400, 1081) // what the host saw counts with the proof
	a.Saw(rules, 1500)
	prove(1580, 1420)
	prove(9000, 8920)
	if err := a.End(rules, 9010, 1); err != nil || a.WholeSince != 0 {
		t.Errorf("ended, it is whole since %d, %v", a.WholeSince, err)
	}
}
