package peer

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxTracked bounds how many identities have their rate remembered. Keys cost nothing to make, so what one of them
// may do must not grow with how many there are.
const maxTracked = 16384

// sweepEvery keeps a flood of keys from making every call look through all of them.
const sweepEvery = time.Second

// gate stands before every call: it turns a panic into an error, bounds each caller's rate and asks the Verifier.
type gate struct {
	verify Verifier
	log    *slog.Logger
	limit  rate.Limit
	burst  int

	versions Versions
	metrics  Metrics

	mu      sync.Mutex
	callers map[[ed25519.PublicKeySize]byte]*rate.Limiter
	swept   time.Time
}

func newGate(set settings) *gate {
	return &gate{
		verify:   set.verify,
		log:      set.log,
		limit:    set.rate,
		burst:    set.burst,
		versions: set.versions,
		metrics:  set.metrics,
		callers:  make(map[[ed25519.PublicKeySize]byte]*rate.Limiter),
	}
}

func (g *gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
	defer func() { g.handled(info.FullMethod, err) }()
	defer g.contain(info.FullMethod, &err)
	arrived(ctx)
	ctx, err = g.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g *gate) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() { g.handled(info.FullMethod, err) }()
	defer g.contain(info.FullMethod, &err)
	ctx, err := g.admit(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return next(srv, &stream{ServerStream: ss, ctx: ctx})
}

func (g *gate) admit(ctx context.Context, method string) (context.Context, error) {
	caller, ok := Identity(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "the connection carries no identity key")
	}
	if !g.allow(caller) {
		return nil, status.Error(codes.ResourceExhausted, "too many calls: try again shortly")
	}
	if err := g.versions.checkVersion(ctx); err != nil {
		return nil, err
	}
	if g.verify == nil {
		return ctx, nil
	}
	ctx, err := g.verify(ctx, caller, method)
	if err == nil {
		return ctx, nil
	}
	if _, ok := status.FromError(err); ok {
		return nil, err
	}
	return nil, status.Error(codes.PermissionDenied, err.Error())
}

func (g *gate) allow(caller ed25519.PublicKey) bool {
	if g.limit == rate.Inf {
		return true
	}
	id := [ed25519.PublicKeySize]byte(caller)
	g.mu.Lock()
	defer g.mu.Unlock()
	l, ok := g.callers[id]
	if !ok {
		if now := time.Now(); len(g.callers) >= maxTracked && now.Sub(g.swept) >= sweepEvery {
			g.forgetIdle()
			g.swept = now
		}
		if len(g.callers) >= maxTracked {
			return false
		}
		l = rate.NewLimiter(g.limit, g.burst)
		g.callers[id] = l
	}
	return l.Allow()
}

// forgetIdle drops the callers whose allowance is whole again: a new record of them would be the same.
func (g *gate) forgetIdle() {
	for id, l := range g.callers {
		if l.Tokens() >= float64(g.burst) {
			delete(g.callers, id)
		}
	}
}

// contain keeps a defect in one handler from taking the process, and everybody else's calls, with it.
func (g *gate) contain(method string, err *error) {
	if cause := recover(); cause != nil {
		g.log.Error("call panicked", "method", method, "panic", cause, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "internal error")
	}
}
