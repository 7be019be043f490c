package observe

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func get(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
	return w.Code, w.Body.String()
}

func TestReadyFollowsChecks(t *testing.T) {
	o := New(slog.New(slog.DiscardHandler))
	var broken error
	o.AddCheck("chain", func(context.Context) error { return broken })
	o.AddCheck("disk", func(context.Context) error { return nil })
	h := o.Handler()
	if code, body := get(t, h, "GET", "/readyz"); code != 200 || body != `{"ok":true}`+"\n" {
		t.Errorf("ready: %d %s", code, body)
	}
	broken = errors.New("secret detail")
	if code, body := get(t, h, "GET", "/readyz"); code != 503 || body != `{"ok":false,"failed":["chain"]}`+"\n" {
		t.Errorf("not ready: %d %s", code, body)
	}
	if code, _ := get(t, h, "GET", "/healthz"); code != 200 {
		t.Errorf("alive but not ready: health is %d", code)
	}
	if code, _ := get(t, h, "POST", "/healthz"); code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", code)
	}
}

func TestStuckCheckIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(slog.New(slog.DiscardHandler))
		o.AddCheck("stuck", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		began := time.Now()
		failed := o.Ready(t.Context())
		if !errors.Is(failed["stuck"], context.DeadlineExceeded) || time.Since(began) != checkTimeout {
			t.Errorf("got %v after %v", failed, time.Since(began))
		}
	})
}

func TestMetrics(t *testing.T) {
	o := New(slog.New(slog.DiscardHandler))
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "things_total", Help: "Things."})
	o.Metrics.MustRegister(c)
	c.Add(3)
	code, body := get(t, o.Handler(), "GET", "/metrics")
	for _, want := range []string{"things_total 3", "go_goroutines", "process_"} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("%d: no %q in metrics", code, want)
		}
	}
}

func TestServe(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- New(slog.New(slog.DiscardHandler)).Serve(ctx, l) }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/healthz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != 200 {
		t.Errorf("%d %s %v", res.StatusCode, body, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
