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
	o := New()
	var broken atomic.Bool
	o.Ready("chain", func() error {
		if broken.Load() {
			return errors.New("no node answers")
		}
		return nil
	})
	o.Gauge("hippius_test_vms", "VMs of the test.", func() float64 { return 7 })

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
	if code, body := get("/metrics"); code != http.StatusOK || !strings.Contains(body, "hippius_test_vms 7") {
		t.Errorf("metrics give %d", code)
	}
	if code, _ := get("/"); code != http.StatusNotFound {
		t.Errorf("another path gives %d", code)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("after the end: %v", err)
	}
}
