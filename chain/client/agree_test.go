package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	creditsv1 "github.com/hippius/compute/api/chain/credits/v1"
	abciv1beta1 "github.com/hippius/compute/api/cosmos/base/abci/v1beta1"
	cmtv1beta1 "github.com/hippius/compute/api/cosmos/base/tendermint/v1beta1"
	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
	"github.com/hippius/compute/api/tendermint/p2p"
)

// voter is a node with a balance that has grown by one with each block.
type voter struct {
	grpc.ClientConnInterface
	height int64
	oldest int64
	// lies replaces an answer.
	lies func(ctx context.Context, method string, at int64) (proto.Message, int64, error)
	took atomic.Int32 // transactions
}

func (*voter) Close() error { return nil }

func (v *voter) Invoke(ctx context.Context, method string, _, reply any, opts ...grpc.CallOption) error {
	at := v.height
	if out, ok := metadata.FromOutgoingContext(ctx); ok && len(out.Get(heightHeader)) == 1 {
		var err error
		if at, err = strconv.ParseInt(out.Get(heightHeader)[0], 10, 64); err != nil || at > v.height || at < v.oldest {
			return status.Error(codes.InvalidArgument, "no such height")
		}
	}
	var answer proto.Message = &creditsv1.QueryBalanceResponse{Balance: &creditsv1.Balance{Ucredit: uint64(at)}}
	if method == txv1beta1.Service_BroadcastTx_FullMethodName {
		v.took.Add(1)
		answer = &txv1beta1.BroadcastTxResponse{TxResponse: &abciv1beta1.TxResponse{}}
	}
	if v.lies != nil {
		var err error
		if answer, at, err = v.lies(ctx, method, at); err != nil {
			return err
		}
	}
	for _, o := range opts {
		if h, ok := o.(grpc.HeaderCallOption); ok && at > 0 {
			*h.HeaderAddr = metadata.Pairs(heightHeader, fmt.Sprint(at))
		}
	}
	out, ok := reply.(proto.Message)
	if !ok {
		return status.Error(codes.Internal, "no message")
	}
	proto.Merge(out, answer)
	return nil
}

// voting is a client of nodes that are strangers'.
func voting(t *testing.T, nodes ...*voter) *Client {
	t.Helper()
	n := Network{Name: "n", ChainID: testChain}
	var conns []Conn
	for i, v := range nodes {
		id := fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i)}))
		n.GRPC = append(n.GRPC, Endpoint{Address: fmt.Sprintf("203.0.113.%d:1", i+1), Identity: id})
		conns = append(conns, v)
	}
	c, err := Over(Config{Network: n, Call: time.Second}, conns...)
	require.NoError(t, err)
	return c
}

func honest(height int64) *voter { return &voter{height: height} }

func lying(lies func(context.Context, string, int64) (proto.Message, int64, error)) *voter {
	return &voter{height: 100, lies: lies}
}

func says(balance uint64, height int64, err error) *voter {
	return lying(func(context.Context, string, int64) (proto.Message, int64, error) {
		return &creditsv1.QueryBalanceResponse{Balance: &creditsv1.Balance{Ucredit: balance}}, height, err
	})
}

var errAway = status.Error(codes.Unavailable, "away")

// balance as the nodes agree on it.
func balance(t *testing.T, c *Client) (uint64, error) {
	t.Helper()
	r, err := c.credits.Balance(t.Context(), &creditsv1.QueryBalanceRequest{})
	return r.GetBalance().GetUcredit(), err
}

// TestAgreement: of three nodes or more one that answers anything changes no answer, whatever the others' heights.
func TestAgreement(t *testing.T) {
	t.Parallel()
	hangs := lying(func(ctx context.Context, _ string, _ int64) (proto.Message, int64, error) {
		<-ctx.Done()
		return nil, 0, status.FromContextError(ctx.Err()).Err()
	})
	liars := map[string]func() *voter{
		"another value":           func() *voter { return says(7, 100, nil) },
		"no height":               func() *voter { return says(7, 0, nil) },
		"a height of the future":  func() *voter { return says(7, 1<<40, nil) },
		"a height beyond bounds":  func() *voter { return says(7, 1<<62, nil) },
		"a height of the past":    func() *voter { return says(7, 1, nil) },
		"not found":               func() *voter { return says(0, 0, status.Error(codes.NotFound, "no such account")) },
		"that it is overloaded":   func() *voter { return says(0, 0, status.Error(codes.ResourceExhausted, "busy")) },
		"nothing":                 func() *voter { return says(0, 0, errAway) },
		"never":                   func() *voter { return hangs },
		"what an honest one says": func() *voter { return honest(100) },
	}
	for name, liar := range liars {
		for _, others := range [][]int64{{100, 100}, {100, 99}, {99, 100}, {100, 81}, {100, 100, 100, 98}} {
			t.Run(fmt.Sprint(name, others), func(t *testing.T) {
				t.Parallel()
				nodes := []*voter{liar()}
				top := int64(0)
				for _, h := range others {
					nodes, top = append(nodes, honest(h)), max(top, h)
				}
				got, err := balance(t, voting(t, nodes...))
				require.NoError(t, err)
				require.LessOrEqual(t, got, uint64(top))
				require.GreaterOrEqual(t, got, uint64(top-maxApart), "an answer of the past")
			})
		}
	}
}

// Nothing is believed that too few say.
func TestNoAgreement(t *testing.T) {
	t.Parallel()
	for name, nodes := range map[string][]*voter{
		"each says something else":                              {says(1, 100, nil), says(2, 100, nil), says(3, 100, nil)},
		"one answers of three":                                  {honest(100), says(0, 0, errAway), says(0, 0, errAway)},
		"a liar, and one that is away":                          {honest(100), says(7, 100, nil), says(0, 0, errAway)},
		"a liar, and one that was restored":                     {honest(1000), honest(100), says(7, 1000, nil)},
		"two of four":                                           {honest(100), honest(100), says(7, 100, nil), says(7, 100, nil)},
		"two, and they differ":                                  {honest(100), says(7, 100, nil)},
		"a liar that has the past asked for":                    {{height: 1000, oldest: 1}, {height: 1000, oldest: 990}, says(7, 1, nil), says(8, 1, nil)},
		"one of two says that there is no such":                 {honest(100), says(0, 0, status.Error(codes.NotFound, "no"))},
		"of two one has the past asked for":                     {{height: 1000, oldest: 990}, says(7, 1, nil)},
		"of two one tells of the future":                        {{height: 1000, oldest: 990}, says(7, 1<<40, nil)},
		"of two one says something of the past":                 {{height: 1000, oldest: 990}, {height: 900}},
		"of two one is in the past, and the other remembers it": {{height: 1000}, {height: 900}},
		"none answers":                                          {says(0, 0, errAway), says(0, 0, errAway)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := balance(t, voting(t, nodes...))
			require.Equal(t, codes.Unavailable, status.Code(err), "%d, %v", got, err)
		})
	}
	_, err := balance(t, voting(t, says(1, 100, nil), says(2, 100, nil), says(3, 100, nil)))
	require.ErrorContains(t, err, "too few chain nodes agree (203.0.113.1:1: an answer of its own; 203.0.113.2:1")
}

// What a few nodes there are say counts: there is nothing better.
func TestFewNodes(t *testing.T) {
	t.Parallel()
	for want, nodes := range map[uint64][]*voter{
		7:   {says(7, 100, nil)},
		100: {honest(100), honest(100)},
		99:  {honest(100), honest(99)},
		98:  {honest(98), says(0, 0, errAway)},
	} {
		got, err := balance(t, voting(t, nodes...))
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, len(nodes), voting(t, nodes...).Voters())
	}
	r, err := voting(t, says(0, 0, status.Error(codes.NotFound, "no such")), says(0, 0, status.Error(codes.NotFound, "no such"))).credits.Balance(t.Context(), &creditsv1.QueryBalanceRequest{})
	require.Equal(t, codes.NotFound, status.Code(err), "%v", r)
}

// One's own node is believed alone; without it, enough others.
func TestOwnNode(t *testing.T) {
	t.Parallel()
	own, liar := honest(100), says(7, 100, nil)
	n := Network{ChainID: testChain, GRPC: []Endpoint{
		{Address: "203.0.113.1:1", Identity: strings.Repeat("1", 64)},
		{Address: "203.0.113.2:1", Identity: strings.Repeat("2", 64), Trusted: true},
		{Address: "203.0.113.3:1", Identity: strings.Repeat("3", 64)},
		{Address: "203.0.113.4:1", Identity: strings.Repeat("4", 64)},
	}}
	c, err := Over(Config{Network: n}, liar, own, liar, honest(90))
	require.NoError(t, err)
	require.Zero(t, c.Voters())
	got, err := balance(t, c)
	require.NoError(t, err)
	require.Equal(t, uint64(100), got)
	own.lies = says(0, 0, errAway).lies
	got, err = balance(t, c)
	require.NoError(t, err)
	require.Equal(t, uint64(7), got, "three others agree by a majority")

	// Two strangers are no majority of anything.
	n.GRPC = n.GRPC[:3]
	c, err = Over(Config{Network: n}, liar, own, liar)
	require.NoError(t, err)
	_, err = balance(t, c)
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
}

// A node that is named twice has one vote.
func TestOneNodeTwice(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("a", 64)
	n := Network{ChainID: testChain, GRPC: []Endpoint{
		{Address: "203.0.113.1:1", Identity: id}, {Address: "203.0.113.1:2", Identity: strings.ToUpper(id)}, {Address: "203.0.113.2:1", Identity: strings.Repeat("2", 64)},
	}}
	c, err := Over(Config{Network: n}, says(7, 100, nil), says(7, 100, nil), honest(100))
	require.NoError(t, err)
	require.Equal(t, 2, c.Voters())
	_, err = balance(t, c)
	require.Error(t, err)
}

// A node that swallows transactions keeps none from the chain, and one that refuses them all stops nobody.
func TestTransactionsGoToAll(t *testing.T) {
	t.Parallel()
	code := func(code uint32) func(context.Context, string, int64) (proto.Message, int64, error) {
		return func(context.Context, string, int64) (proto.Message, int64, error) {
			return &txv1beta1.BroadcastTxResponse{TxResponse: &abciv1beta1.TxResponse{Codespace: "sdk", Code: code, RawLog: "refused"}}, 0, nil
		}
	}
	away := says(0, 0, errAway).lies
	var wait sync.WaitGroup
	for name, c := range map[string]struct {
		nodes []*voter
		fails error
	}{
		"one refuses":                 {nodes: []*voter{lying(code(5)), honest(1), honest(1)}},
		"one swallows it":             {nodes: []*voter{lying(code(0)), honest(1), honest(1)}},
		"one took what others refuse": {nodes: []*voter{lying(code(0)), lying(code(32)), lying(code(32))}},
		"one had it already":          {nodes: []*voter{lying(code(32)), lying(code(19)), lying(away)}},
		"most refuse":                 {nodes: []*voter{lying(code(5)), lying(code(32)), lying(code(32))}, fails: wrongSeq},
		"one refuses, and is alone":   {nodes: []*voter{lying(code(32)), lying(away), lying(away)}, fails: ErrUnavailable},
		"one refuses, one is away":    {nodes: []*voter{lying(code(5)), honest(1), lying(away)}},
		"all are away":                {nodes: []*voter{lying(away), lying(away), lying(away)}, fails: ErrUnavailable},
		"of two one is behind":        {nodes: []*voter{lying(code(32)), honest(1)}},
	} {
		wait.Go(func() {
			err := voting(t, c.nodes...).broadcast(t.Context(), []byte("tx"))
			if !errors.Is(err, c.fails) || (err == nil) != (c.fails == nil) {
				t.Errorf("%s: %v", name, err)
			}
			for i, v := range c.nodes {
				if v.lies == nil { // also after enough have answered
					require.Eventually(t, func() bool { return v.took.Load() == 1 }, time.Minute, time.Millisecond, "%s: node %d", name, i)
				}
			}
		})
	}
	wait.Wait()
}

// A node of another chain is noticed, and stops nobody as long as most are of the right one.
func TestCheckAmongLiars(t *testing.T) {
	t.Parallel()
	of := func(chain string) *voter {
		return lying(func(context.Context, string, int64) (proto.Message, int64, error) {
			return &cmtv1beta1.GetNodeInfoResponse{DefaultNodeInfo: &p2p.DefaultNodeInfo{Network: chain}}, 0, nil
		})
	}
	right, wrong, away := of(testChain), of("other-1"), says(0, 0, errAway)
	for _, c := range []struct {
		nodes []*voter
		fails string
	}{
		{nodes: []*voter{right}},
		{nodes: []*voter{wrong}, fails: "other-1"},
		{nodes: []*voter{right, away}},
		{nodes: []*voter{right, wrong}, fails: "other-1"},
		{nodes: []*voter{right, right, wrong}},
		{nodes: []*voter{wrong, right, away}, fails: "other-1"},
		{nodes: []*voter{away, right, away}, fails: "away"},
		{nodes: []*voter{right, right, wrong, away}, fails: "other-1"},
		{nodes: []*voter{right, right, right, wrong, away}},
	} {
		err := voting(t, c.nodes...).Check(t.Context())
		if c.fails == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, c.fails)
		}
	}
}
