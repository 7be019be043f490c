// Package keylock is for locking one thing by its name instead of everything
// of its kind, and for giving up the wait when a context ends.
package keylock

import (
	"context"
	"sync"
)

// Map is a set of locks, one a key, that exist only while wanted. The zero
// value is ready. Use it by pointer.
type Map[K comparable] struct {
	mu   sync.Mutex
	held map[K]*entry
}

type entry struct {
	token   chan struct{} // holds one value while the lock is free
	wanting int           // holders and waiters
}

// Lock waits until key is free and takes it, or returns ctx's error. The
// returned function releases it and may be called more than once.
func (m *Map[K]) Lock(ctx context.Context, key K) (unlock func(), err error) {
	m.mu.Lock()
	if m.held == nil {
		m.held = make(map[K]*entry)
	}
	e := m.held[key]
	if e == nil {
		e = &entry{token: make(chan struct{}, 1)}
		e.token <- struct{}{}
		m.held[key] = e
	}
	e.wanting++
	m.mu.Unlock()

	select {
	case <-e.token:
		return sync.OnceFunc(func() {
			e.token <- struct{}{}
			m.leave(key, e)
		}), nil
	case <-ctx.Done():
		m.leave(key, e)
		return nil, ctx.Err()
	}
}

func (m *Map[K]) leave(key K, e *entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.wanting--
	if e.wanting == 0 {
		delete(m.held, key)
	}
}
