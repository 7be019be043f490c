package reconcile

import "context"

// asideKey is where a step's context has its loop's aside.
type asideKey struct{}

// Aside runs f, which waits for something else than this process, in a step of a Loop: while f runs the step does not count among the
// loop's Workers, so that keys which wait keep no other from being worked on. Elsewhere it runs f and nothing more. ctx is the step's,
// or made from it.
func Aside(ctx context.Context, f func() error) error {
	if aside, ok := ctx.Value(asideKey{}).(func(func() error) error); ok {
		return aside(f)
	}
	return f()
}

func (l *Loop[K]) withAside(ctx context.Context) context.Context {
	return context.WithValue(ctx, asideKey{}, func(f func() error) error {
		if l.lend(ctx) {
			defer l.takeBack()
		}
		return f()
	})
}

// lend has another worker stand in for one that waits, which is not counted from then on.
func (l *Loop[K]) lend(ctx context.Context) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.workers.Go(func() { l.worker(ctx) })
	return true
}

// takeBack ends one worker: the first that has nothing to do, or is done with a step.
func (l *Loop[K]) takeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.surplus++
	l.work.Signal()
}
