package peer

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
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
	callers map[[ed25519.PublicKeySize]byte]*place[*caller]
	tracked *shares[*caller] // the same, by where they first called from; who was not heard for longest comes first
	swept   time.Time
}

// caller is an identity whose rate is remembered.
type caller struct {
	id        [ed25519.PublicKeySize]byte
	allowance *rate.Limiter
}

func newGate(set settings) *gate {
	return &gate{
		verify:   set.verify,
		log:      set.log,
		limit:    set.rate,
		burst:    set.burst,
		versions: set.versions,
		metrics:  set.metrics,
		callers:  make(map[[ed25519.PublicKeySize]byte]*place[*caller]),
		tracked:  newShares[*caller](),
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
	resp, err := next(ctx, req)
	return resp, because(ctx, err)
}

func (g *gate) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() { g.handled(info.FullMethod, err) }()
	defer g.contain(info.FullMethod, &err)
	ctx, err := g.admit(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return because(ctx, next(srv, &stream{ServerStream: ss, ctx: ctx}))
}

func (g *gate) admit(ctx context.Context, method string) (context.Context, error) {
	caller, ok := Identity(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "the connection carries no identity key")
	}
	var at net.Addr
	if p, ok := grpcpeer.FromContext(ctx); ok {
		at = p.Addr
	}
	if !g.allow(caller, originOf(at)) {
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

func (g *gate) allow(key ed25519.PublicKey, from origin) bool {
	if g.limit == rate.Inf {
		return true
	}
	id := [ed25519.PublicKeySize]byte(key)
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.callers[id]
	if !ok {
		if !g.room(from) {
			return false
		}
		p = g.tracked.take(from, &caller{id: id, allowance: rate.NewLimiter(g.limit, g.burst)})
		g.callers[id] = p
	}
	g.tracked.renew(p)
	return p.what.allowance.Allow()
}

// room makes room for one more caller, if there is none: of those whose allowance is whole, else of the caller that was not heard for
// longest, of the network with most. So a flood of keys is its own network's loss, and gets no new allowances by being forgotten.
func (g *gate) room(from origin) bool {
	if g.tracked.held < maxTracked {
		return true
	}
	if now := time.Now(); now.Sub(g.swept) >= sweepEvery {
		g.forgetIdle()
		g.swept = now
	}
	if g.tracked.held < maxTracked {
		return true
	}
	p := g.tracked.giving(from, anyone)
	if p == nil {
		return false
	}
	g.forget(p)
	return true
}

// forgetIdle drops the callers whose allowance is whole again: a new record of them would be the same.
func (g *gate) forgetIdle() {
	for _, p := range g.callers {
		if p.what.allowance.Tokens() >= float64(g.burst) {
			g.forget(p)
		}
	}
}

func (g *gate) forget(p *place[*caller]) {
	g.tracked.free(p)
	delete(g.callers, p.what.id)
}

// contain keeps a defect in one handler from taking the process, and everybody else's calls, with it.
func (g *gate) contain(method string, err *error) {
	if cause := recover(); cause != nil {
		g.log.Error("call panicked", "method", method, "panic", cause, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "internal error")
	}
}
