package console

import (
	"context"
	"errors"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxSessions at once, consoles and followed logs together.
	maxSessions = 64
	// maxPerOwner of them, for all VMs of an account. When all are taken, the account with most loses its oldest to one with fewer.
	maxPerOwner = 8
)

var (
	errOwnersPart = status.Errorf(codes.ResourceExhausted,
		"%d consoles and followed logs of this account are open on this miner, which is the most: close one", maxPerOwner)
	errAllTaken = status.Errorf(codes.ResourceExhausted, "%d consoles are open on this miner; try again later", maxSessions)
	errMadeRoom = status.Errorf(codes.ResourceExhausted,
		"ended for another account: all %d consoles of this miner are open, and this account had most of them; it may be opened again", maxSessions)
	errGrantEnded = status.Error(codes.DeadlineExceeded, "the grant has expired; open it again")
)

// places are the bounded sessions, shared by account.
type places struct {
	mu   sync.Mutex
	open []*session // oldest first
}

type session struct {
	owner string
	end   context.CancelCauseFunc
}

// enter takes a place; leave gives it back. The context ends, with errMadeRoom, when it goes to another account.
func (p *places) enter(ctx context.Context, owner string) (_ context.Context, leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := make(map[string]int)
	for _, s := range p.open {
		held[s.owner]++
	}
	if held[owner] >= maxPerOwner {
		return nil, nil, errOwnersPart
	}
	if len(p.open) >= maxSessions {
		oldest := 0
		for i, s := range p.open {
			if held[s.owner] > held[p.open[oldest].owner] {
				oldest = i
			}
		}
		gives := p.open[oldest]
		if held[gives.owner] <= held[owner]+1 {
			return nil, nil, errAllTaken
		}
		p.open = slices.Delete(p.open, oldest, oldest+1)
		gives.end(errMadeRoom)
	}
	ctx, end := context.WithCancelCause(ctx)
	s := &session{owner: owner, end: end}
	p.open = append(p.open, s)
	return ctx, func() {
		end(nil)
		p.leave(s)
	}, nil
}

// leave forgets a session; one that made room before is not there.
func (p *places) leave(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = slices.DeleteFunc(p.open, func(o *session) bool { return o == s })
}

// ended is why a session's context ended, as its user sees it; nil while it has not, and if the user went.
func ended(ctx, caller context.Context) error {
	switch {
	case errors.Is(context.Cause(ctx), errMadeRoom):
		return errMadeRoom
	case ctx.Err() != nil && caller.Err() == nil:
		return errGrantEnded
	default:
		return nil
	}
}

// sender is a stream to a user.
type sender[M any] interface {
	Send(m M) error
	Context() context.Context
}

// send gives up when ctx ends: a user who reads nothing does not keep a place that is another's. What is being sent then ends with the
// stream, when its handler returns.
func send[M any](ctx context.Context, to sender[M], m M) error {
	sent := make(chan error, 1)
	go func() { sent <- to.Send(m) }()
	select {
	case err := <-sent:
		return err
	case <-ctx.Done():
		if err := ended(ctx, to.Context()); err != nil {
			return err
		}
		return ctx.Err()
	}
}
