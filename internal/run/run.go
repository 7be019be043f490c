// Package run is how a daemon lives: named parts that start in order, work until told to end, and stop in reverse.
// Every goroutine of a part has an owner here that waits for it, and a part that is slow to stop is named in the log.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

const (
	// slowAfter is when a part that has not stopped is first named in the log, and how often again.
	slowAfter = 2 * time.Second
	// stopTimeout bounds the stop of one part. After it the daemon ends without that part.
	stopTimeout = 30 * time.Second
)

// ErrEnded is a part whose Run returned nil although nobody had told it to end.
var ErrEnded = errors.New("ended by itself")

// Part is one piece of a daemon. Any of its functions may be nil.
type Part struct {
	Name string
	// Start returns when the part can be used by those after it. Its context ends with the daemon's.
	Start func(ctx context.Context) error
	// Run works until its context ends and then returns soon. If it returns earlier the daemon stops.
	Run func(ctx context.Context) error
	// Stop is called once, before Run's context ends, if Start returned nil. It gets the time the part has left.
	Stop func(ctx context.Context) error
}

// Daemon starts its parts in order. It runs once.
type Daemon struct {
	log   *slog.Logger
	parts []Part
}

// New returns a daemon of parts, which depend only on those before them.
func New(log *slog.Logger, parts ...Part) *Daemon {
	return &Daemon{log: log, parts: parts}
}

type running struct {
	Part
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	err    error         // of Run; read after done
}

// Run starts the parts and blocks until ctx ends or a part fails, then stops those that started, the last first.
// It returns nil if the cause was ctx and every part stopped without error.
func (d *Daemon) Run(ctx context.Context) error {
	failed := make(chan error, len(d.parts))
	var started []*running
	var errs []error
	for _, p := range d.parts {
		if p.Start != nil {
			if err := p.Start(ctx); err != nil {
				if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
					errs = append(errs, fmt.Errorf("start %s: %w", p.Name, err))
				}
				break
			}
		}
		started = append(started, launch(ctx, p, failed))
		d.log.Debug("part started", "part", p.Name)
		if ctx.Err() != nil {
			break
		}
	}
	if len(started) == len(d.parts) && len(errs) == 0 {
		select {
		case <-ctx.Done():
		case err := <-failed:
			errs = append(errs, err)
		}
	}
	for _, r := range slices.Backward(started) {
		if err := d.stop(ctx, r); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func launch(ctx context.Context, p Part, failed chan<- error) *running {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{Part: p, cancel: cancel, done: make(chan struct{})}
	if p.Run == nil {
		close(r.done)
		return r
	}
	go func() {
		defer close(r.done)
		err := p.Run(ctx)
		switch {
		case ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())):
		case ctx.Err() != nil:
			r.err = err
		case err == nil:
			failed <- fmt.Errorf("%s: %w", p.Name, ErrEnded)
		default:
			failed <- fmt.Errorf("%s: %w", p.Name, err)
		}
	}()
	return r
}

func (d *Daemon) stop(ctx context.Context, r *running) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	defer r.cancel()
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		var err error
		if r.Stop != nil {
			err = r.Stop(ctx)
		}
		r.cancel()
		<-r.done
		ended <- errors.Join(err, r.err)
	}()
	slow := time.NewTicker(slowAfter)
	defer slow.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("stop %s: %w", r.Name, err)
			}
			return nil
		case <-slow.C:
			d.log.Warn("part is slow to stop", "part", r.Name, "waited", time.Since(began).Round(time.Second))
		case <-ctx.Done():
			return fmt.Errorf("stop %s: still busy after %v", r.Name, stopTimeout)
		}
	}
}

// Signals returns a context that ends with the first SIGINT or SIGTERM. A second one kills the process as if nobody
// listened. Call stop to listen no more.
func Signals(ctx context.Context) (_ context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
