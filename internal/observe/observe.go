// Package observe is how a daemon shows itself to its operator: /healthz says
// that it lives, /readyz whether it does its work, /metrics its figures.
package observe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
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

// New makes an Observer of a program in some version, with the metrics of the process and the runtime.
func New(program, version string) *Observer {
	o := &Observer{Metrics: prometheus.NewRegistry(), checks: map[string]Check{}}
	o.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "hippius_build_info", Help: "Always 1; its labels say which program of which version this is.",
		ConstLabels: prometheus.Labels{"program": program, "version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 }))
	o.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "hippius_ready", Help: "1 while the program does all of its work, as /readyz says in words.",
	}, func() float64 { return Flag(len(o.unready()) == 0) }))
	return o
}

// Answered is Counters of two results.
func Answered(calls func() (answered, unanswered uint64)) func() map[string]float64 {
	return func() map[string]float64 {
		yes, no := calls()
		return map[string]float64{"answered": float64(yes), "unanswered": float64(no)}
	}
}

// Flag is 1 for true.
func Flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// Timestamp is a time as Prometheus has it; 0 for none.
func Timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
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

// Counter registers a figure that only rises while the process lives; its name ends in _total.
func (o *Observer) Counter(name, help string, read func() float64) {
	o.Metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
}

// Gauges registers figures that differ in one label, read together when asked for.
func (o *Observer) Gauges(name, help, label string, read func() map[string]float64) {
	o.family(name, help, label, prometheus.GaugeValue, read)
}

// Counters is Gauges of figures that only rise.
func (o *Observer) Counters(name, help, label string, read func() map[string]float64) {
	o.family(name, help, label, prometheus.CounterValue, read)
}

func (o *Observer) family(name, help, label string, kind prometheus.ValueType, read func() map[string]float64) {
	o.Metrics.MustRegister(&family{desc: prometheus.NewDesc(name, help, []string{label}, nil), kind: kind, read: read})
}

// family is a metric with one label whose values are read when asked for.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func() map[string]float64
}

// Describe implements prometheus.Collector.
func (f *family) Describe(ch chan<- *prometheus.Desc) { ch <- f.desc }

// Collect implements prometheus.Collector.
func (f *family) Collect(ch chan<- prometheus.Metric) {
	for value, figure := range f.read() {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, figure, value)
	}
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
