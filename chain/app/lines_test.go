package app_test

import (
	"context"

	marketkeeper "github.com/hippius/compute/chain/x/marketplace/keeper"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	money "github.com/hippius/compute/core/credit"
)

// lines take the place of x/compute: each account has one VM on each miner, attested as a test says.
type lines struct {
	k     *marketkeeper.Keeper
	used  map[string]map[string]*money.Usage
	order []string // of miners
	// running accounts are stopped when they run out.
	running map[string]bool
	calls   int
	// ended accounts had their disks terminated.
	ended []string
	fail  error
}

func newLines(k *marketkeeper.Keeper) *lines {
	l := &lines{k: k, used: map[string]map[string]*money.Usage{}, running: map[string]bool{}}
	k.SetHooks(l)
	return l
}

// attest an interval of an account's VM on a miner.
func (l *lines) attest(account, miner string, rate uint64, from, to int64) error {
	if l.used[account] == nil {
		l.used[account] = map[string]*money.Usage{}
	}
	u := l.used[account][miner]
	if u == nil {
		u = &money.Usage{}
		l.used[account][miner] = u
		l.order = append(l.order, miner)
	}
	return u.Add(money.Interval{From: from, To: to, Rate: rate})
}

func (l *lines) each(account string, visit func(miner string, u *money.Usage)) {
	seen := map[string]bool{}
	for _, miner := range l.order {
		if u := l.used[account][miner]; u != nil && !seen[miner] {
			visit(miner, u)
		}
		seen[miner] = true
	}
}

func (l *lines) Owed(_ context.Context, account string) (sum uint64, err error) {
	l.each(account, func(_ string, u *money.Usage) { sum += u.Owed() })
	return sum, nil
}

func (l *lines) Collect(_ context.Context, account string, before int64, payable uint64) (markettypes.Collected, error) {
	var out markettypes.Collected
	l.each(account, func(miner string, u *money.Usage) {
		out.VMs++
		taken, dropped, left := u.Settle(before, payable)
		payable -= taken + left
		out.Dropped += dropped
		out.Left += left
		out.Parts = append(out.Parts, money.Part{Miner: miner, Units: taken})
	})
	return out, nil
}

func (l *lines) AfterRunOut(ctx context.Context, account string) error {
	l.calls++
	if l.fail != nil || !l.running[account] {
		return l.fail
	}
	delete(l.running, account)
	return l.k.SetRate(ctx, account, sparkStopped-sparkRunning)
}

func (l *lines) AfterSpent(ctx context.Context, account string) error {
	l.ended = append(l.ended, account)
	return l.k.SetRate(ctx, account, -sparkStopped)
}
