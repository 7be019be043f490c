package peer

import (
	"strings"

	"google.golang.org/grpc/status"
)

// Metrics is told what a server does, from many goroutines at once.
type Metrics interface {
	// Call ended with a gRPC status code. Services and methods are those registered: callers cannot make up more.
	Call(service, method, code string)
	// Connections changes by n how many are open.
	Connections(n int)
	// Refused is a connection that was closed at once because too many were open, in all or from one host.
	Refused()
}

// WithMetrics tells m (nothing).
func WithMetrics(m Metrics) Option { return func(s *settings) { s.metrics = m } }

// unmeasured is a server's without WithMetrics.
type unmeasured struct{}

func (unmeasured) Call(string, string, string) {}
func (unmeasured) Connections(int)             {}
func (unmeasured) Refused()                    {}

// handled counts a call.
func (g *gate) handled(method string, err error) {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	g.metrics.Call(service, name, status.Code(err).String())
}
