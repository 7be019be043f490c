package peer

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/status"
)

// metrics of a server.
type metrics struct {
	calls       *prometheus.CounterVec
	refused     prometheus.Counter
	connections prometheus.Gauge
}

func newMetrics(to prometheus.Registerer) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hippius_peer_calls_total", Help: "Calls of other nodes and of clients, by service, method and gRPC status code.",
		}, []string{"service", "method", "code"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hippius_peer_connections_refused_total", Help: "Connections closed at once because too many were open, in all or from one host.",
		}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hippius_peer_connections", Help: "Connections of other nodes and of clients that are open.",
		}),
	}
	if to != nil {
		to.MustRegister(m.calls, m.refused, m.connections)
	}
	return m
}

// handled counts a call. The methods are those registered, so callers cannot make up more.
func (m *metrics) handled(method string, err error) {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	m.calls.WithLabelValues(service, name, status.Code(err).String()).Inc()
}

// WithMetrics registers the server's metrics, of which a program has one set.
func WithMetrics(to prometheus.Registerer) Option { return func(s *settings) { s.metrics = to } }
