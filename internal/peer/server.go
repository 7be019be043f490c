package peer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxHeaders bounds the metadata of one call, in bytes.
	maxHeaders = 16 << 10
	// maxStreams bounds the calls in progress on one connection.
	maxStreams = 128
	// streamWindow and connWindow are how many bytes may be on their way, of a
	// call and of a connection. gRPC's own widen with the speed of the line, up
	// to 16 MiB for a call that nobody has read yet.
	streamWindow = 64 << 10
	connWindow   = 1 << 20
)

// Verifier decides whether caller may make this call, before the service sees it. The context it returns is the one
// the service gets, so it can add what it learnt (for instance whom a short-lived key speaks for; call metadata is in
// the context). An error that is not a gRPC status reaches the caller as PermissionDenied.
type Verifier func(ctx context.Context, caller ed25519.PublicKey, method string) (context.Context, error)

type settings struct {
	maxMessage      int
	maxCalls        int
	maxCallsPerHost int
	arrival         time.Duration
	maxConns        int
	maxConnsPerHost int
	handshake       time.Duration
	rate            rate.Limit
	burst           int
	verify          Verifier
	log             *slog.Logger
	grpc            []grpc.ServerOption
	versions        Versions
	metrics         Metrics
}

// Option changes a bound of NewServer.
type Option func(*settings)

// MaxMessage bounds one received message, in bytes (4 MiB).
func MaxMessage(n int) Option { return func(s *settings) { s.maxMessage = n } }

// MaxCalls bounds the calls in progress, in all (512) and from one host (128). With MaxMessage it bounds the memory
// that callers can take. When all are taken, whichever network has most (see NetworkOf) loses one to the next caller of
// another: the oldest whose message has not arrived, or any for a network that has less than its part.
func MaxCalls(total, perHost int) Option {
	return func(s *settings) { s.maxCalls, s.maxCallsPerHost = total, perHost }
}

// ArrivalTimeout is how long the first message of a call may be on its way (15 s).
func ArrivalTimeout(d time.Duration) Option { return func(s *settings) { s.arrival = d } }

// MaxConns bounds the connections open at once, in all (1024) and from one host (256). When all are taken, whichever
// network holds most (see NetworkOf) loses its oldest to the next that comes, and within it the host that holds most.
func MaxConns(total, perHost int) Option {
	return func(s *settings) { s.maxConns, s.maxConnsPerHost = total, perHost }
}

// HandshakeTimeout is how long a caller may take to prove its key (10 s).
func HandshakeTimeout(d time.Duration) Option { return func(s *settings) { s.handshake = d } }

// RatePerIdentity bounds the calls of one identity key to perSecond, with bursts (unbounded). A stream is one call.
func RatePerIdentity(perSecond float64, burst int) Option {
	return func(s *settings) { s.rate, s.burst = rate.Limit(perSecond), burst }
}

// WithVerifier asks v before every call.
func WithVerifier(v Verifier) Option { return func(s *settings) { s.verify = v } }

// WithLogger tells log what went wrong on our side: a service that panicked (nothing).
func WithLogger(log *slog.Logger) Option { return func(s *settings) { s.log = log } }

// WithGRPC passes further options to the gRPC server, such as a codec. They must not be interceptors or credentials.
func WithGRPC(opts ...grpc.ServerOption) Option {
	return func(s *settings) { s.grpc = append(s.grpc, opts...) }
}

// Server is a gRPC server whose connections are bounded and whose callers have proved a key.
type Server struct {
	*grpc.Server
	set   settings
	calls *calls
}

// NewServer returns a server that proves key. Register services on it, then call Serve.
func NewServer(key ed25519.PrivateKey, opts ...Option) *Server {
	set := settings{
		maxMessage:      4 << 20,
		maxCalls:        512,
		maxCallsPerHost: 128,
		arrival:         15 * time.Second,
		maxConns:        1024,
		maxConnsPerHost: 256,
		handshake:       10 * time.Second,
		rate:            rate.Inf,
		log:             slog.New(slog.DiscardHandler),
		versions:        Spoken(),
		metrics:         unmeasured{},
	}
	for _, opt := range opts {
		opt(&set)
	}
	g, c := newGate(set), newCalls(set)
	return &Server{set: set, calls: c, Server: grpc.NewServer(append(set.grpc,
		grpc.Creds(ServerCredentials(key)),
		grpc.MaxRecvMsgSize(set.maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.InTapHandle(c.begin),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.ConnectionTimeout(set.handshake),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingInterval / 2, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 10 * time.Minute,
			Time:              time.Minute,
			Timeout:           20 * time.Second,
		}),
		grpc.UnaryInterceptor(g.unary),
		grpc.StreamInterceptor(g.stream),
	)...)}
}

// Serve takes connections from l, within the bounds, until Close, Stop or GracefulStop. It owns l.
func (s *Server) Serve(l net.Listener) error {
	if err := s.Server.Serve(newLimitListener(l, s.set.maxConns, s.set.maxConnsPerHost, s.set.metrics)); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve peers on %s: %w", l.Addr(), err)
	}
	return nil
}

// Close lets calls in progress finish until ctx ends, then cuts them. It returns when all have ended.
func (s *Server) Close(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.GracefulStop()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.Stop()
		<-done
	}
}
