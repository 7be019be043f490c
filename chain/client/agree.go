package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
)

const (
	// heightHeader is what a node is asked by for the state at a height, and says which one it answered for.
	heightHeader = "x-cosmos-block-height"
	// maxApart bounds how far below the height that a majority has reached a question is asked, in blocks: what is older is the past.
	maxApart = 20
	// manyNodes are enough that a majority of them decides. Of fewer all that answer must agree.
	manyNodes = 3
	// takenWait is how long the other nodes are waited for when one has taken a transaction.
	takenWait = 2 * time.Second
)

// agreement is a gRPC connection to several nodes none of which is believed alone: the answer to a question is what
// more than half of them say, of the state at one height.
type agreement struct {
	ends []end
	conn *failover // counts, and knows how long a call may take
}

// vote is one node's answer.
type vote struct {
	end    end
	place  int // of the node in the profile
	reply  proto.Message
	err    error
	height int64 // 0 if it did not say
	key    string
	// asked is the height that was asked for; 0 for none.
	asked int64
}

// abstains: it gave no answer. One that does not have the state at a height says so with various errors.
func (v *vote) abstains() bool {
	return v.err != nil && (elsewhere(v.err) || v.asked > 0 && status.Code(v.err) != codes.NotFound)
}

// Invoke asks all nodes at once. Where they answer for different heights they are asked once more for one that enough of
// them have reached. It fails with Unavailable if they do not agree.
func (a *agreement) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	out, ok := reply.(proto.Message)
	if !ok {
		return status.Errorf(codes.Internal, "%T is no message", reply)
	}
	opts = append(opts, grpc.MaxCallRecvMsgSize(MaxAnswer))
	ask := func(height int64) (*vote, []*vote) { return a.ask(ctx, height, method, args, out, opts) }
	if method == txv1beta1.Service_BroadcastTx_FullMethodName {
		ask = func(int64) (*vote, []*vote) { return a.handOver(ctx, method, args, out, opts) }
	}
	won, votes := ask(0)
	for _, height := range heightsToTry(votes, len(a.ends)) {
		if won != nil || ctx.Err() != nil {
			break
		}
		won, _ = ask(height)
	}
	switch {
	case won == nil && ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case won == nil:
		a.conn.unanswered.Add(1)
		return undecided(votes)
	}
	a.conn.answered.Add(1)
	if won.err == nil {
		proto.Reset(out)
		proto.Merge(out, won.reply)
	}
	return won.err
}

// ask gives the answer that enough nodes give, as soon as they have; nil for none, and all answers. height 0 is each node's newest.
func (a *agreement) ask(ctx context.Context, height int64, method string, args any, out proto.Message, opts []grpc.CallOption) (*vote, []*vote) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if height > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, heightHeader, strconv.FormatInt(height, 10))
	}
	said := a.poll(ctx, method, args, out, opts)
	var votes []*vote
	for range a.ends {
		v := <-said
		v.asked = height
		votes = append(votes, v)
		if won := majority(votes, len(a.ends)); won != nil {
			return won, votes
		}
	}
	return nil, votes
}

// poll asks every node; the answers come in any order.
func (a *agreement) poll(ctx context.Context, method string, args any, out proto.Message, opts []grpc.CallOption) <-chan *vote {
	said := make(chan *vote, len(a.ends))
	for i, e := range a.ends {
		go func() {
			v := &vote{end: e, place: i, reply: out.ProtoReflect().New().Interface()}
			var header metadata.MD
			v.err = a.conn.invokeOne(ctx, e, method, args, v.reply, append(slices.Clip(opts), grpc.Header(&header)))
			v.key, v.height = keyOf(v), heightOf(header)
			said <- v
		}()
	}
	return said
}

// handOver gives a transaction to every node: one that swallows it keeps it from no block. What more than half say of it
// counts, else that one took it; whether it is in a block shows later.
func (a *agreement) handOver(ctx context.Context, method string, args any, out proto.Message, opts []grpc.CallOption) (*vote, []*vote) {
	said := a.poll(ctx, method, args, out, opts)
	var votes []*vote
	var late <-chan time.Time
	for len(votes) < len(a.ends) {
		select {
		case v := <-said:
			votes = append(votes, v)
			if won := majority(votes, len(a.ends)); won != nil {
				return won, votes
			}
			if late == nil && v.took() {
				late = time.After(takenWait)
			}
		case <-late:
			return best(votes), votes
		}
	}
	return best(votes), votes
}

// best of answers of which none has a majority: that a node took the transaction, else the first in the order of the profile.
func best(votes []*vote) *vote {
	var found *vote
	for _, v := range votes {
		if !v.abstains() && (found == nil || v.took() && !found.took() || v.took() == found.took() && v.place < found.place) {
			found = v
		}
	}
	return found
}

// took: the node says that it has a transaction in its mempool.
func (v *vote) took() bool {
	r, ok := v.reply.(*txv1beta1.BroadcastTxResponse)
	return ok && v.err == nil && r.GetTxResponse().GetCode() == 0
}

// majority is an answer that more than half of all nodes give; of fewer than three nodes, all that answer, when all
// were heard. nil for none.
func majority(votes []*vote, all int) *vote {
	count := map[string]int{}
	answers := 0
	for _, v := range votes {
		if v.abstains() {
			continue
		}
		answers++
		if count[v.key]++; all >= manyNodes && count[v.key] > all/2 {
			return v
		}
	}
	if all >= manyNodes || len(votes) < all || answers == 0 || len(count) != 1 {
		return nil
	}
	return votes[slices.IndexFunc(votes, func(v *vote) bool { return !v.abstains() })]
}

// keyOf an answer is equal for equal answers. Errors count with their words: people read them.
func keyOf(v *vote) string {
	if v.err != nil {
		return fmt.Sprint("error ", status.Code(v.err), " ", status.Convert(v.err).Message())
	}
	reply := v.reply
	switch r := reply.(type) {
	case *txv1beta1.GetTxResponse: // which events are marked is a node's own setting
		short, ok := proto.Clone(r).(*txv1beta1.GetTxResponse)
		if ok && short.GetTxResponse() != nil {
			short.TxResponse.Events = nil
			reply = short
		}
	case *txv1beta1.BroadcastTxResponse: // so is what it says beside the code
		return fmt.Sprint("code ", r.GetTxResponse().GetCodespace(), " ", r.GetTxResponse().GetCode())
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(reply)
	if err != nil {
		return "error " + err.Error()
	}
	return "answer " + string(data)
}

func heightOf(header metadata.MD) int64 {
	for _, s := range header.Get(heightHeader) {
		if h, err := strconv.ParseInt(s, 10, 64); err == nil && h > 0 && h <= maxHeight {
			return h
		}
	}
	return 0
}

// heightsToTry are those for which nodes that answered for different ones are asked again: the highest that more than
// half say they have reached, and those below it that others are at, unless they are of the past. A node that
// tells of a height that is not cannot move them by more.
func heightsToTry(votes []*vote, all int) []int64 {
	var heights []int64
	for _, v := range votes {
		if v.height > 0 {
			heights = append(heights, v.height)
		}
	}
	slices.SortFunc(heights, func(a, b int64) int { return cmp.Compare(b, a) })
	need := all / 2 // of those before it: it is the one that makes them more than half
	if all < manyNodes {
		need = len(heights) - 1
	}
	if need < 0 || len(heights) <= need {
		return nil
	}
	heights = slices.Compact(heights[need:])
	return slices.DeleteFunc(heights, func(h int64) bool { return heights[0]-h > maxApart })
}

// undecided says who did not answer, or that those who did said different things.
func undecided(votes []*vote) error {
	var causes []error
	var said []string
	for _, v := range votes {
		switch {
		case v.abstains():
			causes = append(causes, fmt.Errorf("chain node %s: %s", v.end.name, why(v.err)))
		case v.err != nil:
			said = append(said, fmt.Sprintf("%s: %s", v.end.name, why(v.err)))
		default:
			said = append(said, v.end.name+": an answer of its own")
		}
	}
	if len(said) > 0 {
		slices.Sort(said)
		causes = append(causes, fmt.Errorf("too few chain nodes agree (%s)", strings.Join(said, "; ")))
	}
	return status.Error(codes.Unavailable, errors.Join(causes...).Error())
}

// NewStream is not offered: the chain has no streams.
func (a *agreement) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "the chain client has no streams")
}
