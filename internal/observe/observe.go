// Package observe is how a daemon shows itself to its operator: /healthz says
// that it lives, /readyz whether it does its work, /metrics its figures.
package observe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check says why a part is not ready, or nil. It must not block.
type Check func() error

// Observer collects a daemon's checks and metrics.
type Observer struct {
	// Metrics is where the daemon's parts register theirs.
	Metrics *prometheus.Registry

	mu     sync.Mutex
	checks map[string]Check
}

// New makes an Observer with the metrics of the process and the runtime.
func New() *Observer {
	o := &Observer{Metrics: prometheus.NewRegistry(), checks: map[string]Check{}}
	o.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return o
}

// Ready adds a check under a name; one of the same name is replaced.
func (o *Observer) Ready(name string, c Check) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.checks[name] = c
}

// Gauge registers a figure that is read when asked for.
func (o *Observer) Gauge(name, help string, read func() float64) {
	o.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// unready lists what is not ready, sorted.
func (o *Observer) unready() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for name, c := range o.checks {
		if err := c(); err != nil {
			out = append(out, fmt.Sprintf("%s: %v", name, err))
		}
	}
	slices.Sort(out)
	return out
}

// Handler serves the three paths.
func (o *Observer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		missing := o.unready()
		if len(missing) == 0 {
			say(w, http.StatusOK, "ok")
			return
		}
		say(w, http.StatusServiceUnavailable, missing...)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	return mux
}

func say(w http.ResponseWriter, status int, lines ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	for _, l := range lines {
		_, _ = fmt.Fprintln(w, l) // the caller has gone; nobody to tell
	}
}

// Serve answers on l until ctx ends, then closes l and waits for it. l should
// be a loopback or a private address.
func (o *Observer) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{
		Handler: o.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve observer: %w", err)
	case <-ctx.Done():
	}
	err := s.Close()
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
