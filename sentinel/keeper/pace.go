package keeper

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxPaced bounds the owners whose pace is remembered.
const maxPaced = 16384

// pace bounds how often each owner deals.
type pace struct {
	perMinute int
	now       func() time.Time
	mu        sync.Mutex
	owners    map[string]*rate.Limiter
}

func newPace(perMinute int, now func() time.Time) *pace {
	return &pace{perMinute: perMinute, now: now, owners: make(map[string]*rate.Limiter)}
}

func (p *pace) allow(owner string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	l, ok := p.owners[owner]
	if !ok {
		if len(p.owners) >= maxPaced {
			p.forgetIdle(now)
		}
		if len(p.owners) >= maxPaced {
			return false
		}
		l = rate.NewLimiter(rate.Limit(float64(p.perMinute)/60), p.perMinute)
		p.owners[owner] = l
	}
	return l.AllowN(now, 1)
}

// forgetIdle drops the owners whose allowance is whole again.
func (p *pace) forgetIdle(now time.Time) {
	for owner, l := range p.owners {
		if l.TokensAt(now) >= float64(p.perMinute) {
			delete(p.owners, owner)
		}
	}
}
