package credit

const (
	// FirstNotice is how long before the hold-back is spent an account is first told that its disks will be terminated, in seconds.
	FirstNotice = 7 * DaySeconds
	// LastNotice is how long before that it is told again, in seconds.
	LastNotice = DaySeconds
	// MaxNotices are given before that.
	MaxNotices = 2
	// betweenNotices passes at least between two of them, and noticePeriod between the last and the termination. The period is
	// shorter than LastNotice, so that an account that is charged by its rate is terminated when its hold-back is spent.
	betweenNotices = 3600
	noticePeriod   = LastNotice - 3600
)

// DisksRunway is how long a balance lasts for the account's disks, also while what ran is still being stopped, in seconds; ok is
// false when nothing is charged.
func (m *Meter) DisksRunway(balance uint64) (seconds uint64, ok bool) {
	disks := *m
	disks.Rate = m.DiskRate
	return disks.Runway(balance, 0)
}

// WithdrawNotices takes back notices that are out of date, as the balance lasts for longer since a purchase, or for fewer disks.
// They are given again when their time comes.
func (m *Meter) WithdrawNotices(balance uint64) {
	left, ok := m.DisksRunway(balance)
	switch {
	case !ok:
	case left > FirstNotice:
		m.Notices = 0
	case left > LastNotice:
		m.Notices = min(m.Notices, 1)
	}
}

// untilNotice is how long until the next notice, or after the last until the
// balance is spent, in seconds; 0 if that was before. ok is false when nothing is
// charged, or the account has not run out.
func (m *Meter) untilNotice(balance uint64) (seconds uint64, ok bool) {
	if m.Rate == 0 || m.RanOutAt == 0 {
		return 0, false
	}
	left, charged := m.DisksRunway(balance)
	if !charged {
		return 0, false
	}
	switch m.Notices {
	case 0:
		return left - min(left, FirstNotice), true
	case 1:
		return left - min(left, LastNotice), true
	default:
		return left, true
	}
}

// Notify notes the notice that is due at a time, if any.
func (m *Meter) Notify(now int64, balance uint64) bool {
	if wait, ok := m.untilNotice(balance); !ok || wait > 0 || m.Notices >= MaxNotices {
		return false
	}
	if m.Notices > 0 && now-m.NoticedAt < betweenNotices {
		return false
	}
	m.Notices++
	m.NoticedAt = now
	return true
}

// Spent tells whether nothing is left for the account's disks, and it was told so in time.
func (m *Meter) Spent(now int64, balance uint64) bool {
	left, ok := m.untilNotice(balance)
	return ok && left == 0 && m.Notices == MaxNotices && now-m.NoticedAt >= noticePeriod
}
