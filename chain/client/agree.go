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
	"google.golang.org/protobuf/reflect/protoreflect"

	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
)

const (
	// heightHeader is what a node is asked by for the state at a height, and says which one it answered for.
	heightHeader = "x-cosmos-block-height"
	// maxApart bounds how far below the height that a majority has reached a question is asked, in blocks: what is older is the past.
	maxApart = 20
	// manyNodes are enough that a majority of them decides. Of fewer all that answer must agree.
	manyNodes = 3
	// takenWait is how long the other nodes are waited for when one has taken a transaction, lateWait when more than half have
	// answered a question and do not agree.
	takenWait = 2 * time.Second
	lateWait  = 500 * time.Millisecond
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
	if in, ok := args.(proto.Message); ok {
		args = proto.Clone(in) // the caller may use it again while a slow node is still being asked
	}
	q := question{method: method, args: args, out: out.ProtoReflect().Type(), opts: append(slices.Clip(opts), grpc.MaxCallRecvMsgSize(MaxAnswer))}
	var won *vote
	var votes []*vote
	if method == txv1beta1.Service_BroadcastTx_FullMethodName {
		won, votes = a.handOver(ctx, q)
	} else {
		won, votes = a.ask(ctx, q, 1)
		for _, height := range heightsToTry(votes, len(a.ends)) {
			if won != nil || ctx.Err() != nil {
				break
			}
			q.height = height
			won, _ = a.ask(ctx, q, answered(votes))
		}
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

// question is what all nodes are asked.
type question struct {
	method string
	args   any
	out    protoreflect.MessageType
	opts   []grpc.CallOption
	// height that it is about; 0 for each node's newest.
	height int64
}

// ask gives the answer that enough nodes give, as soon as they have; nil for none, and all answers. Of fewer nodes than decide by a majority at
// least so many must answer. Once more than half have, without agreeing, the others are not waited for much longer.
func (a *agreement) ask(ctx context.Context, q question, least int) (*vote, []*vote) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if q.height > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, heightHeader, strconv.FormatInt(q.height, 10))
	}
	said := a.poll(ctx, q)
	var votes []*vote
	var late <-chan time.Time
	for len(votes) < len(a.ends) {
		select {
		case v := <-said:
			votes = append(votes, v)
			if won := majority(votes, len(a.ends), least); won != nil {
				return won, votes
			}
			if late == nil && len(a.ends) >= manyNodes && answered(votes) > len(a.ends)/2 {
				late = time.After(lateWait)
			}
		case <-late:
			return nil, votes
		}
	}
	return nil, votes
}

// answered counts those that do not abstain.
func answered(votes []*vote) (n int) {
	for _, v := range votes {
		if !v.abstains() {
			n++
		}
	}
	return n
}

// poll asks every node; the answers come in any order, also after nobody waits for them any more.
func (a *agreement) poll(ctx context.Context, q question) <-chan *vote {
	said := make(chan *vote, len(a.ends))
	for i, e := range a.ends {
		v := &vote{end: e, place: i, reply: q.out.New().Interface(), asked: q.height}
		go func() {
			var header metadata.MD
			v.err = a.conn.invokeOne(ctx, e, q.method, q.args, v.reply, append(slices.Clip(q.opts), grpc.Header(&header)))
			v.key, v.height = keyOf(v), heightOf(header)
			said <- v
		}()
	}
	return said
}

// handOver gives a transaction to every node: one that swallows it keeps it from no block. That one took it counts more than what the
// others say, as it may then be in a block, and the same messages must not be signed anew; whether it is shows later. Else what more
// than half say counts, and of three nodes or more nothing less.
func (a *agreement) handOver(ctx context.Context, q question) (*vote, []*vote) {
	said := a.poll(ctx, q)
	var votes []*vote
	var late <-chan time.Time
	for len(votes) < len(a.ends) {
		select {
		case v := <-said:
			votes = append(votes, v)
			if won := majority(votes, len(a.ends), 1); won != nil && won.took() {
				return won, votes
			}
			if late == nil && answered(votes) > 0 {
				late = time.After(takenWait)
			}
		case <-late:
			return best(votes, len(a.ends)), votes
		}
	}
	return best(votes, len(a.ends)), votes
}

// best answer to a transaction when those that answer have: that a node took it, else what a majority says. Of fewer nodes than decide by one
// it is the first's in the order of the profile.
func best(votes []*vote, all int) *vote {
	var taken, first *vote
	for _, v := range votes {
		switch {
		case v.abstains():
		case v.took() && (taken == nil || v.place < taken.place):
			taken = v
		case first == nil || v.place < first.place:
			first = v
		}
	}
	switch {
	case taken != nil:
		return taken
	case all < manyNodes:
		return first
	}
	return majority(votes, all, 1)
}

// took: the node says that it has a transaction in its mempool, from this program or another node.
func (v *vote) took() bool {
	r, ok := v.reply.(*txv1beta1.BroadcastTxResponse)
	return ok && v.err == nil && (r.GetTxResponse().GetCode() == 0 || refusalOf(r.GetTxResponse().GetCodespace(), r.GetTxResponse().GetCode()) == inMempool)
}

// majority is an answer that more than half of all nodes give; of fewer than three nodes, all that answer, at least so many, when all
// were heard. nil for none.
func majority(votes []*vote, all, least int) *vote {
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
	if all >= manyNodes || len(votes) < all || answers < max(least, 1) || len(count) != 1 {
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
		if v.took() {
			return "taken"
		}
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
	if all < manyNodes { // what the one behind has reached, unless that is long ago
		if n := len(heights); n > 0 && heights[0]-heights[n-1] <= maxApart {
			return heights[n-1:]
		}
		return nil
	}
	need := all / 2 // of those before it: it is the one that makes them more than half
	if len(heights) <= need {
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
func (a *agreement) NewStream(ctx context.Context, d *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return a.conn.NewStream(ctx, d, method, opts...)
}
