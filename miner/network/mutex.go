package network

import "context"

// mutex is a lock that is waited for while a context lasts: changes of the kernel's tables wait for each other, and for a
// repair of all of them. newMutex makes one.
type mutex chan struct{}

func newMutex() mutex { return make(mutex, 1) }

// Lock waits as long as it takes.
func (m mutex) Lock()   { m <- struct{}{} }
func (m mutex) Unlock() { <-m }

// within waits until the lock is free and takes it, or returns ctx's error.
func (m mutex) within(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case m <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
