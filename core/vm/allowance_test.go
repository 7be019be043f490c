package vm

import "testing"

func TestReportAllowance(t *testing.T) {
	r := ReportRules{Every: 15, Burst: 4, EmptyEvery: 30, Spare: 3, Gas: 1000, GasPerVM: 100}
	for _, c := range []struct {
		name    string
		used    ReportAllowance
		reports int
		gas     uint64
		want    bool
	}{
		{"the first", ReportAllowance{}, 1, 1000, true},
		{"three used", ReportAllowance{UsedUntil: 100 + 45}, 1, 1000, true},
		{"a little more", ReportAllowance{UsedUntil: 100 + 46}, 1, 1000, false},
		{"used long ago", ReportAllowance{UsedUntil: 3}, 1, 1000, true},
		{"empty", ReportAllowance{EmptyUntil: 100}, 0, 1000, true},
		{"empty a little early", ReportAllowance{EmptyUntil: 115}, 0, 1000, true},
		{"empty too soon", ReportAllowance{EmptyUntil: 116}, 0, 1000, false},
		{"not empty after an empty one", ReportAllowance{EmptyUntil: 130}, 1, 1000, true},
		{"of those held lately too", ReportAllowance{}, 5, 1000, true},
		{"of more", ReportAllowance{}, 6, 1000, false},
		{"gas of two VMs", ReportAllowance{}, 1, 1200, true},
		{"more gas", ReportAllowance{}, 1, 1201, false},
		{"empty with the gas of VMs", ReportAllowance{}, 0, 1001, false},
	} {
		left, ok := c.used.Take(r, 100, c.reports, c.gas, 2)
		if ok != c.want || !ok && left != c.used {
			t.Errorf("%s: %v, left %+v", c.name, ok, left)
		}
	}
	// Whenever a miner asks, over a long time it has no more than the rate and one burst.
	var a ReportAllowance
	free := 0
	for now := int64(1000); now < 1000+3600; now++ {
		var ok bool
		if a, ok = a.Take(r, now, 1, 0, 0); ok {
			free++
		}
	}
	if free != 3600/15+3 {
		t.Errorf("%d in an hour", free)
	}
	a, free = ReportAllowance{}, 0
	for now := int64(1000); now < 1000+3600; now++ {
		var ok bool
		if a, ok = a.Take(r, now, 0, 0, 0); ok {
			free++
		}
	}
	if free > 3600/30+1 {
		t.Errorf("%d empty ones in an hour", free)
	}
	// A miner that sends an empty one every half a minute, more or less, has all of them.
	a = ReportAllowance{}
	for i := range int64(100) {
		var ok bool
		if a, ok = a.Take(r, 1000+30*i+i*7%3, 0, 0, 0); !ok {
			t.Fatalf("empty batch %d", i)
		}
	}
}
