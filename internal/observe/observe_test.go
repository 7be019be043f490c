package observe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestObserver(t *testing.T) {
	o := New("hippius-test", "v1.2.3")
	var broken atomic.Bool
	o.Ready("chain", func() error {
		if broken.Load() {
			return errors.New("no node answers")
		}
		return nil
	})
	o.Gauge("hippius_test_vms", "VMs of the test.", func() float64 { return 7 })

	o.Counter("hippius_test_reports_total", "Reports of the test.", func() float64 { return 3 })
	o.Gauges("hippius_test_phase_vms", "VMs of the test by phase.", "phase", func() map[string]float64 {
		return map[string]float64{"running": 2, "stopped": 1}
	})
	o.Counters("hippius_test_calls_total", "Calls of the test.", "result", func() map[string]float64 {
		return map[string]float64{"ok": 5}
	})

	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Serve(ctx, l) }()

	get := func(path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // a test
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if code, body := get("/readyz"); code != http.StatusOK {
		t.Errorf("ready gives %d: %s", code, body)
	}
	broken.Store(true)
	if code, body := get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "chain: no node answers") {
		t.Errorf("not ready gives %d: %s", code, body)
	}
	if code, _ := get("/healthz"); code != http.StatusOK {
		t.Errorf("alive gives %d", code)
	}
	code, body := get("/metrics")
	if code != http.StatusOK {
		t.Errorf("metrics give %d", code)
	}
	for _, want := range []string{
		"hippius_test_vms 7", "# TYPE hippius_test_reports_total counter", "hippius_test_reports_total 3",
		`hippius_test_phase_vms{phase="running"} 2`, `hippius_test_phase_vms{phase="stopped"} 1`,
		"# TYPE hippius_test_calls_total counter", `hippius_test_calls_total{result="ok"} 5`,
		`program="hippius-test",version="v1.2.3"} 1`, "hippius_ready 0",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
	if code, _ := get("/"); code != http.StatusNotFound {
		t.Errorf("another path gives %d", code)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("after the end: %v", err)
	}
}
