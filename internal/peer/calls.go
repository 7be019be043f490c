package peer

import (
	"context"
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
type calls struct {
	max, maxPerHost int
	arrival         time.Duration

	mu    sync.Mutex
	open  int
	hosts map[string]int
}

func newCalls(set settings) *calls {
	return &calls{max: set.maxCalls, maxPerHost: set.maxCallsPerHost, arrival: set.arrival, hosts: make(map[string]int)}
}

// arrivingKey is where a call's context has the timer that ends it if its
// first message does not come.
type arrivingKey struct{}

// begin is asked when a call's header has come and before anything of it is
// kept. It must not block: the connection waits for it.
func (c *calls) begin(ctx context.Context, _ *tap.Info) (context.Context, error) {
	host := ""
	if p, ok := grpcpeer.FromContext(ctx); ok {
		host = hostOf(p.Addr)
	}
	if !c.enter(host) {
		return nil, status.Error(codes.ResourceExhausted, "too many calls at once: try again shortly")
	}
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(c.arrival, cancel)
	context.AfterFunc(ctx, func() {
		late.Stop()
		cancel()
		c.leave(host)
	})
	return context.WithValue(ctx, arrivingKey{}, late), nil
}

// arrived says that a call's first message is here.
func arrived(ctx context.Context) {
	if late, ok := ctx.Value(arrivingKey{}).(*time.Timer); ok {
		late.Stop()
	}
}

func (c *calls) enter(host string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.max || c.hosts[host] >= c.maxPerHost {
		return false
	}
	c.open++
	c.hosts[host]++
	return true
}

func (c *calls) leave(host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.hosts[host]--; c.hosts[host] <= 0 {
		delete(c.hosts, host)
	}
}

// inProgress is how many calls there are.
func (c *calls) inProgress() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
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
