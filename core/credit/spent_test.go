package credit

import (
	"testing"

	"pgregory.net/rapid"
)

// However a balance goes down after run-out, the disks are terminated only after two notices, the second at least 23 hours
// before, and at the latest a day after nothing is left.
func TestNoticesBeforeTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Meter{Rate: UnitsPerUcredit, DiskRate: UnitsPerUcredit, RanOutAt: t0} // one ucredit a second
		balance := rapid.Uint64Range(0, 40*DaySeconds).Draw(t, "balance")
		steps := rapid.SliceOfN(rapid.Int64Range(1, 3600), 24, 24).Draw(t, "steps")
		var notices []int64
		var empty int64
		now := int64(t0)
		for i := 0; ; i++ {
			if m.Notify(now, balance) {
				notices = append(notices, now)
			}
			if m.Spent(now, balance) {
				break
			}
			if empty == 0 && balance == 0 {
				empty = now
			}
			if empty != 0 && now-empty > DaySeconds+2*3600 {
				t.Fatalf("nothing is left since %d s, and notices were given %v", now-empty, notices)
			}
			step := steps[i%len(steps)]
			now += step
			balance -= min(balance, uint64(step))
		}
		if balance != 0 || len(notices) != MaxNotices || now-notices[1] < noticePeriod || notices[1]-notices[0] < betweenNotices {
			t.Fatalf("ended at %d with %d left, after notices at %v", now, balance, notices)
		}
	})
}

// A meter is looked at when a notice is due and when its balance is spent. One that did not run out gives no notice.
func TestDueAfterRunOut(t *testing.T) {
	never := Schedule{Interval: 1e7}
	m := Meter{Rate: UnitsPerUcredit, DiskRate: UnitsPerUcredit, RanOutAt: t0}
	for notices, want := range []int64{3 * DaySeconds, 9 * DaySeconds, 10 * DaySeconds} {
		m.Notices = uint32(notices)
		if got := m.Due(t0, never, 10*DaySeconds, 20*DaySeconds); got != t0+want {
			t.Errorf("after %d notices due in %d s, want %d", notices, got-t0, want)
		}
	}
	m.RanOutAt, m.Notices = 0, 0
	if m.Notify(t0, 0) || m.Spent(t0+100*DaySeconds, 0) {
		t.Error("an account that did not run out was told of its end")
	}
}

// A purchase that does not lift an account above its hold-back has the notices given again, each in its time.
func TestNoticesAreGivenAgain(t *testing.T) {
	for left, want := range map[uint64]uint32{30 * DaySeconds: 0, FirstNotice + 1: 0, FirstNotice: 1, LastNotice + 1: 1, LastNotice: 2, 0: 2} {
		m := Meter{Rate: UnitsPerUcredit, DiskRate: UnitsPerUcredit, RanOutAt: t0, Notices: MaxNotices, NoticedAt: t0}
		m.WithdrawNotices(left)
		if m.Notices != want {
			t.Errorf("%d notices stand with %d s left, want %d", m.Notices, left, want)
		}
		if m.Spent(t0+100*DaySeconds, left) != (left == 0) {
			t.Errorf("spent with %d s left", left)
		}
	}
	m := Meter{Rate: UnitsPerUcredit, DiskRate: UnitsPerUcredit, RanOutAt: t0, Notices: MaxNotices, NoticedAt: t0}
	m.WithdrawNotices(30 * DaySeconds)
	now := int64(t0 + 30*DaySeconds)
	for want := range uint32(MaxNotices) {
		if m.Spent(now, 0) {
			t.Fatalf("it ends after %d notices", want)
		}
		if !m.Notify(now, 0) || m.Notices != want+1 {
			t.Fatalf("notice %d is not given", want+1)
		}
		now += betweenNotices
	}
}
