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

// allow takes one deal off an owner's allowance; ok is false if it has none left. An owner without a place is not known
// yet, and takes one by enter.
func (p *pace) allow(owner string) (known, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, known := p.owners[owner]
	return known, !known || l.AllowN(p.now(), 1)
}

// enter gives an owner a place, if it has none, and takes one deal off its allowance. When all places are taken, those
// with a whole allowance are forgotten, or the one that used least of its own.
func (p *pace) enter(owner string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	l, ok := p.owners[owner]
	if !ok {
		if len(p.owners) >= maxPaced {
			p.forget(now)
		}
		l = rate.NewLimiter(rate.Limit(float64(p.perMinute)/60), p.perMinute)
		p.owners[owner] = l
	}
	return l.AllowN(now, 1)
}

// forget drops the owners whose allowance is whole again; if there are none, the one with most left.
func (p *pace) forget(now time.Time) {
	idlest, most, before := "", -1.0, len(p.owners)
	for owner, l := range p.owners {
		left := l.TokensAt(now)
		if left >= float64(p.perMinute) {
			delete(p.owners, owner)
		} else if left > most {
			idlest, most = owner, left
		}
	}
	if len(p.owners) == before {
		delete(p.owners, idlest)
	}
}
