package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hippius/compute/miner/hypervisor"
)

// query runs f on the connection and gives up waiting when ctx ends, or after
// callTimeout; f then ends by itself, at the latest with the connection, its
// result dropped. All errors come out explained.
func query[T any](ctx context.Context, k *link, f func(*lv.Libvirt) (T, error)) (T, error) {
	return queryOn(ctx, k, func(c *connection) (T, error) { return f(c.Libvirt) })
}

// do is query for calls that return nothing.
func do(ctx context.Context, k *link, f func(*lv.Libvirt) error) error {
	_, err := query(ctx, k, func(l *lv.Libvirt) (struct{}, error) { return struct{}{}, f(l) })
	return err
}

// queryOn is query for calls that need to know their connection.
func queryOn[T any](ctx context.Context, k *link, f func(*connection) (T, error)) (T, error) {
	var none T
	if err := k.enter(); err != nil {
		return none, err
	}
	defer k.leave()
	within, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	c, err := k.turn(within)
	var value T
	if err == nil {
		value, err = call(within, k, c, f)
	}
	switch {
	case err == nil:
		return value, nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return none, ctx.Err()
	case within.Err() != nil && errors.Is(err, within.Err()):
		return none, fmt.Errorf("%w: no answer in %v", hypervisor.ErrHypervisorDown, k.timeout)
	}
	return none, err
}

// enter counts a caller in, unless there are too many.
func (k *link) enter() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting >= maxWaiting {
		return fmt.Errorf("%w: %d calls wait for libvirtd already", hypervisor.ErrHypervisorDown, k.waiting)
	}
	k.waiting++
	return nil
}

func (k *link) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting--
}

// turn returns the connection when there may be one call more on it.
func (k *link) turn(ctx context.Context) (*connection, error) {
	for {
		c, err := k.get(ctx)
		if err != nil {
			return nil, err
		}
		if err = c.take(ctx); err == nil || ctx.Err() != nil {
			return c, err
		}
	}
}

// take waits until there may be one call more on the connection; a call gives that back.
func (c *connection) take(ctx context.Context) error {
	select {
	case c.turns <- struct{}{}:
		return nil
	case <-c.dead:
		return fmt.Errorf("%w: %w", hypervisor.ErrHypervisorDown, c.why)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call makes a call whose turn it is.
func call[T any](ctx context.Context, k *link, c *connection, f func(*connection) (T, error)) (T, error) {
	var none T
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	var ended, left bool // guarded by k.mu
	began := k.begin(func() {
		value, err := f(c)
		done <- result{value, err}
		k.mu.Lock()
		defer k.mu.Unlock()
		if ended = true; left {
			c.stuck--
		}
		<-c.turns
	})
	if !began {
		return none, errClosed
	}
	slow := time.NewTicker(k.silence)
	defer slow.Stop()
	for {
		select {
		case r := <-done:
			return r.value, c.explain(r.err)
		case <-slow.C:
			k.wantSign(c)
		case <-ctx.Done():
			k.mu.Lock()
			if left = !ended; left {
				c.stuck++
			}
			full := c.stuck == maxCalls
			k.mu.Unlock()
			if full { // nothing more would get through
				c.end(fmt.Errorf("%d calls are without an answer", maxCalls))
			}
			k.wantSign(c)
			return none, ctx.Err()
		}
	}
}

// wantSign has libvirtd give a sign of life on a connection, or ends that.
func (k *link) wantSign(c *connection) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.asked || k.closed || c.isDead() {
		return
	}
	c.asked = true
	k.calls.Go(func() {
		late := time.AfterFunc(k.silence, func() { c.end(fmt.Errorf("libvirtd gives no sign of life in %v", k.silence)) })
		_, _ = c.ConnectGetLibVersion() // that it is not able to say is an answer, too
		late.Stop()
		k.mu.Lock()
		defer k.mu.Unlock()
		c.asked = false
	})
}

// explain is explain, and knows why calls failed if their connection ended.
func (c *connection) explain(err error) error {
	var said lv.Error
	if err == nil || !c.isDead() || errors.As(err, &said) {
		return explain(err)
	}
	return fmt.Errorf("%w: %w: %w", hypervisor.ErrHypervisorDown, c.why, err)
}
