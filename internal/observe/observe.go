// Package observe is how a daemon tells the outside that it lives (/healthz), that it is of use (/readyz), and what it
// counts (/metrics, in Prometheus' format).
package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	checkTimeout    = 5 * time.Second
	shutdownTimeout = 5 * time.Second
)

// Check returns nil while what it looks at is of use, else why not.
type Check func(ctx context.Context) error

// Observer holds the checks and metrics of one daemon. Use New.
type Observer struct {
	// Metrics is where a daemon registers its own.
	Metrics *prometheus.Registry

	log    *slog.Logger
	mu     sync.Mutex
	checks map[string]Check
}

// New returns an observer with the metrics of the Go runtime and of the process.
func New(log *slog.Logger) *Observer {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Observer{Metrics: reg, log: log, checks: make(map[string]Check)}
}

// AddCheck makes readiness depend on check. A second check of the same name replaces the first.
func (o *Observer) AddCheck(name string, check Check) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.checks[name] = check
}

// Ready runs every check at once, each for at most 5 s, and returns why each that failed did. Nil means ready.
func (o *Observer) Ready(ctx context.Context) map[string]error {
	o.mu.Lock()
	checks := maps.Clone(o.checks)
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed map[string]error
	for name, check := range checks {
		wg.Go(func() {
			err := check(ctx)
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if failed == nil {
				failed = make(map[string]error)
			}
			failed[name] = err
		})
	}
	wg.Wait()
	return failed
}

// Handler answers GET on /healthz (200 while the process can answer at all), /readyz (200, or 503 with the names of
// the checks that failed; why is for the log) and /metrics.
func (o *Observer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { o.answer(w, http.StatusOK, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		failed := o.Ready(r.Context())
		if len(failed) == 0 {
			o.answer(w, http.StatusOK, nil)
			return
		}
		o.log.Warn("not ready", "failed", failed)
		o.answer(w, http.StatusServiceUnavailable, failed)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	return mux
}

func (o *Observer) answer(w http.ResponseWriter, code int, failed map[string]error) {
	body := struct {
		OK     bool     `json:"ok"`
		Failed []string `json:"failed,omitempty"`
	}{OK: code == http.StatusOK, Failed: slices.Sorted(maps.Keys(failed))}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		o.log.Debug("answer health request", "err", err)
	}
}

// Serve answers on l, which it owns, until ctx ends; then it lets requests in progress finish for 5 s.
func (o *Observer) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           o.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve health on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := srv.Shutdown(wait)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	<-ended
	return err
}
