// Package run is how a daemon lives: named services that start in order, work until told to end, and stop in reverse.
// Every goroutine of a service has an owner here that waits for it, and a service that is slow to stop is named in the log.
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
	// slowAfter is when a service that has not stopped is first named in the log, and how often again.
	slowAfter = 2 * time.Second
	// stopTimeout bounds the stop of one service. After it the daemon ends without that service.
	stopTimeout = 30 * time.Second
)

// ErrEnded is a service whose Run returned nil although nobody had told it to end.
var ErrEnded = errors.New("ended by itself")

// Service is a named part of a daemon with a start and an end. Any of its functions may be nil.
type Service struct {
	Name string
	// Start returns when the service can be used by those after it. Its context ends with the daemon's.
	Start func(ctx context.Context) error
	// Run works until its context ends and then returns soon. If it returns earlier the daemon stops.
	Run func(ctx context.Context) error
	// Stop is called once, before Run's context ends, if Start returned nil. It gets the time the service has left.
	Stop func(ctx context.Context) error
}

// Daemon starts its services in order. It runs once.
type Daemon struct {
	log      *slog.Logger
	services []Service
}

// New returns a daemon of services, which depend only on those before them.
func New(log *slog.Logger, services ...Service) *Daemon {
	return &Daemon{log: log, services: services}
}

type running struct {
	Service
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	err    error         // of Run; read after done
}

// Run starts the services and blocks until ctx ends or a service fails, then stops those that started, the last first.
// It returns nil if the cause was ctx and every service stopped without error.
func (d *Daemon) Run(ctx context.Context) error {
	failed := make(chan error, len(d.services))
	var started []*running
	var errs []error
	for _, s := range d.services {
		if s.Start != nil {
			if err := s.Start(ctx); err != nil {
				if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
					errs = append(errs, fmt.Errorf("start %s: %w", s.Name, err))
				}
				break
			}
		}
		started = append(started, launch(ctx, s, failed))
		d.log.Debug("service started", "service", s.Name)
		if ctx.Err() != nil {
			break
		}
	}
	if len(started) == len(d.services) && len(errs) == 0 {
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

func launch(ctx context.Context, s Service, failed chan<- error) *running {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{Service: s, cancel: cancel, done: make(chan struct{})}
	if s.Run == nil {
		close(r.done)
		return r
	}
	go func() {
		defer close(r.done)
		err := s.Run(ctx)
		switch {
		case ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())):
		case ctx.Err() != nil:
			r.err = err
		case err == nil:
			failed <- fmt.Errorf("%s: %w", s.Name, ErrEnded)
		default:
			failed <- fmt.Errorf("%s: %w", s.Name, err)
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
			d.log.Warn("service is slow to stop", "service", r.Name, "took_ms", time.Since(began).Milliseconds())
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
