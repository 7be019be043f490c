package observe

import "github.com/prometheus/client_golang/prometheus"

// Peer are the metrics of a server of other nodes, of which a program has one.
type Peer struct {
	calls       *prometheus.CounterVec
	refused     prometheus.Counter
	connections prometheus.Gauge
}

// Peer registers the metrics of the program's server; it panics when called twice.
func (o *Observer) Peer() *Peer {
	p := &Peer{
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
	o.Metrics.MustRegister(p.calls, p.refused, p.connections)
	return p
}

// Call counts a call that ended with a gRPC status code.
func (p *Peer) Call(service, method, code string) {
	p.calls.WithLabelValues(service, method, code).Inc()
}

// Connections changes by n how many are open.
func (p *Peer) Connections(n int) { p.connections.Add(float64(n)) }

// Refused counts a connection that was closed at once.
func (p *Peer) Refused() { p.refused.Inc() }
