package client

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/internal/peer"
)

// MaxAnswer bounds one answer of a node, in bytes.
const MaxAnswer = 16 << 20

// Conn is a connection to one node. One that broke mends itself.
type Conn interface {
	grpc.ClientConnInterface
	Close() error
}

// end is one endpoint and the connection to it.
type end struct {
	name string
	conn Conn
}

// failover is a gRPC connection to whichever endpoint answers: it stays with the one that did last.
type failover struct {
	ends []end
	call time.Duration
	last atomic.Int32
	// then is asked when none of the endpoints answers; nil for nobody.
	then grpc.ClientConnInterface

	*counted
}

// counted are the calls that some node answered, and that none did.
type counted struct{ answered, unanswered atomic.Uint64 }

func dialAll(set Config) (*failover, error) {
	f := &failover{call: set.Call, counted: &counted{}}
	for _, e := range set.Network.GRPC {
		conn, err := dialOne(e, set.Key, set.Dial)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		f.ends = append(f.ends, end{name: e.Address, conn: conn})
	}
	return f, nil
}

func dialOne(e Endpoint, key ed25519.PrivateKey, dial peer.Dialer) (Conn, error) {
	if e.Plain {
		return dial.LoopbackPlain(e.Address)
	}
	pin, err := hex.DecodeString(e.Identity)
	if err != nil || len(pin) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("endpoint %s: identity is no Ed25519 key in hex", e.Address)
	}
	return dial.NewClient(e.Address, key, pin)
}

// asked is the connection for a network's questions: to one's own nodes, of which one is enough, or if there is none, or none
// of them answers, to the others, by agreement.
func (f *failover) asked(n Network) grpc.ClientConnInterface {
	var own, others []end
	known := map[string]bool{} // a node that is named twice has one vote
	for i, e := range f.ends {
		at := n.GRPC[i]
		switch key := strings.ToLower(cmp.Or(at.Identity, at.Address)); {
		case at.own():
			own = append(own, e)
		case !known[key]:
			known[key] = true
			others = append(others, e)
		}
	}
	switch {
	case len(own) == 0 && len(others) == 1:
		return f
	case len(own) == 0:
		return &agreement{ends: others, conn: f}
	}
	mine := &failover{ends: own, call: f.call, counted: f.counted}
	if len(others) >= manyNodes {
		mine.then = &agreement{ends: others, conn: f}
	}
	return mine
}

// Invoke asks the endpoints one after the other until one answers, whatever the answer. A call may so reach two
// nodes: what is sent must bear that, as a signed transaction does.
func (f *failover) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	opts = append(opts, grpc.MaxCallRecvMsgSize(MaxAnswer))
	start := int(f.last.Load())
	var causes []error
	for i := range f.ends {
		at := (start + i) % len(f.ends)
		err := f.invokeOne(ctx, f.ends[at], method, args, reply, opts)
		if err == nil || !elsewhere(err) || ctx.Err() != nil {
			f.last.Store(int32(at))
			if err == nil || !elsewhere(err) {
				f.answered.Add(1)
			}
			return err
		}
		causes = append(causes, fmt.Errorf("chain node %s: %s", f.ends[at].name, why(err)))
	}
	if f.then != nil && ctx.Err() == nil {
		return f.then.Invoke(ctx, method, args, reply, opts...)
	}
	f.unanswered.Add(1)
	return status.Error(codes.Unavailable, errors.Join(causes...).Error())
}

// why a call failed, for people: of a connection that was not made, what the system said.
func why(err error) string {
	text := status.Convert(err).Message()
	if status.Code(err) == codes.Unimplemented && strings.HasPrefix(text, "unknown ") {
		return "it does not know this call (" + text + "): it is of another version than this program"
	}
	if at := strings.LastIndex(text, "dial tcp "); at >= 0 {
		return strings.TrimSuffix(text[at:], `"`)
	}
	return text
}

func (f *failover) invokeOne(ctx context.Context, e end, method string, args, reply any, opts []grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, f.call)
	defer cancel()
	return e.conn.Invoke(ctx, method, args, reply, opts...)
}

// elsewhere says that another endpoint may do better.
func elsewhere(err error) bool {
	return slices.Contains([]codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Unimplemented}, status.Code(err))
}

// NewStream is not offered: the chain has no streams.
func (f *failover) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "the chain client has no streams")
}

// Close ends all connections.
func (f *failover) Close() error {
	var errs []error
	for _, e := range f.ends {
		errs = append(errs, e.conn.Close())
	}
	return errors.Join(errs...)
}
