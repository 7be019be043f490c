package vm

import "testing"

func TestUnprovenCharge(t *testing.T) {
	r := AttestRules{Gap: 80, SilenceSeconds: 600, SilenceReports: 20}
	for _, c := range []struct {
		seconds int64
		excused bool
		want    int64
	}{
		{0, false, 0},
		{300, false, 300},
		{600, false, 600},
		{1800, false, 760},
		{0, true, 0},
		{BootAllowance, true, 0},
		{300, true, 180},
		{1800, true, 760 - BootAllowance},
	} {
		from, to := r.UnprovenCharge(1000, 1000+c.seconds, c.excused)
		if got := max(to-from, 0); got != c.want {
			t.Errorf("of %d s, excused %t, %d are charged, want %d", c.seconds, c.excused, got, c.want)
		}
	}
}

// A proof that comes late, a host that gives up, and an end: none wipes what is charged of a run without a proof.
func TestUnprovenRunIsCharged(t *testing.T) {
	r := AttestRules{Gap: 80, SilenceSeconds: 600, SilenceReports: 20}
	const rate, begin = 3600, 10_000
	for name, c := range map[string]struct {
		end  func(a *Attestation) error
		want uint64
	}{
		"a late proof":  {func(a *Attestation) error { return a.Prove(r, begin+300, rate) }, 300 - BootAllowance},
		"the host":      {func(a *Attestation) error { return a.Disown(r, rate) }, 300 - BootAllowance},
		"the tenant":    {func(a *Attestation) error { return a.End(r, begin+310, rate) }, 300},
		"after a while": {func(a *Attestation) error { return a.End(r, begin+5000, rate) }, 300},
	} {
		for _, unproven := range []bool{false, true} {
			a := Attestation{Unproven: unproven}
			for at := int64(begin); at <= begin+300; at += 30 {
				a.Saw(r, at)
			}
			if err := c.end(&a); err != nil {
				t.Fatal(err)
			}
			want := c.want
			if !unproven {
				want = 0
			}
			if a.RunningSeconds != want {
				t.Errorf("%s, unproven %t: %d s are charged, want %d", name, unproven, a.RunningSeconds, want)
			}
		}
	}
}
