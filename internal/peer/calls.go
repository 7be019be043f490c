package peer

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// calls bounds the calls in progress, in all and from one host, from their
// first bytes on. Each may hold a goroutine and a message as large as is taken,
// and a caller that sends half a message and waits holds both: so connections,
// and calls on each, are no bound by themselves. What was begun has to arrive.
//
// When all are taken, the network with most calls loses the oldest that has not
// arrived. One that has arrived is cut only for a network that has less than
// its part of all.
type calls struct {
	max, maxPerHost int
	arrival         time.Duration

	mu   sync.Mutex
	open *shares[*call]
}

func newCalls(set settings) *calls {
	return &calls{max: set.maxCalls, maxPerHost: set.maxCallsPerHost, arrival: set.arrival, open: newShares[*call]()}
}

// call is one in progress.
type call struct {
	of      *calls
	late    *time.Timer // ends it if its first message does not come
	end     context.CancelCauseFunc
	arrived bool // its first message is here; under of.mu
}

// callKey is where a call's context has it.
type callKey struct{}

var (
	errTooMany = status.Error(codes.ResourceExhausted, "too many calls at once: try again shortly")
	errGaveWay = status.Error(codes.ResourceExhausted, "the call was ended for callers of other networks: all calls are taken, and this network has most of them; try again shortly")
)

// begin is asked when a call's header has come and before anything of it is
// kept. It must not block: the connection waits for it.
func (c *calls) begin(ctx context.Context, _ *tap.Info) (context.Context, error) {
	from := origin{}
	if p, ok := grpcpeer.FromContext(ctx); ok {
		from = originOf(p.Addr)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	begun := &call{of: c, end: cancel}
	begun.late = time.AfterFunc(c.arrival, func() { cancel(nil) })
	held := c.enter(from, begun)
	if held == nil {
		begun.late.Stop()
		cancel(nil)
		return nil, errTooMany
	}
	context.AfterFunc(ctx, func() {
		begun.late.Stop()
		cancel(nil)
		c.leave(held)
	})
	return context.WithValue(ctx, callKey{}, begun), nil
}

// arrived says that a call's first message is here.
func arrived(ctx context.Context) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.late.Stop()
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.arrived = true
	}
}

// enter gives a call its place; nil if there is none for it.
func (c *calls) enter(from origin, begun *call) *place[*call] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open.ofHost(from) >= c.maxPerHost {
		return nil
	}
	if c.open.held >= c.max {
		p := c.open.giving(from, func(other *call) bool { return !other.arrived })
		if p == nil && c.belowShare(from) {
			p = c.open.giving(from, anyone)
		}
		if p == nil {
			return nil
		}
		c.open.free(p)
		p.what.end(errGaveWay)
	}
	return c.open.take(from, begun)
}

// belowShare says whether a network has fewer calls than an equal part of all.
func (c *calls) belowShare(from origin) bool {
	networks, mine := len(c.open.networks), c.open.ofNetwork(from)
	if mine == 0 {
		networks++
	}
	return (mine+1)*networks <= c.max
}

func (c *calls) leave(p *place[*call]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open.free(p)
}

// because is what a call ended with, seen from why: one that gave way is told so.
func because(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errGaveWay) {
		return errGaveWay
	}
	return err
}

// inProgress is how many calls there are.
func (c *calls) inProgress() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open.held
}

// stream is a server stream whose context is the Verifier's.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		arrived(s.ctx)
	}
	return err
}
